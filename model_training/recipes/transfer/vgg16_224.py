"""VGG16 on images enlarged to 224 pixels, 41,071,690 parameters: frozen or not, augmented or not.

At that size an image costs 15 billion multiplications, so what frozen layers say is computed once
and kept (`networks.frozen`), before the last block and before the head: 9 GB and 2.3 GB for a view
of 45,000 images.  All four recipes share what they have in common, and a run of hours can be
interrupted and resumed at any moment.

Not given in the source: the batch size, Adam's rate, which upper layers were unfrozen (the last
block here) and what the augmentation does: two or three views of each image, which take turns,
stand for it here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from model_training.datasets.augmentation import Transform
from model_training.recipes.phase import Optimizer, Phase
from model_training.recipes.recipe import Recipe, Reported
from model_training.recipes.space import DROPOUT
from model_training.recipes.transfer.imagenet import SOURCE, USE_FROZEN, USE_PRETRAINED
from model_training.recipes.transfer.vgg16 import BOTH_SIDES, WEIGHTS, build_large

THREE_VIEWS = (*BOTH_SIDES, Transform(down=2, right=-2))
LAST_BLOCK = Phase(25, batch_size=64, optimizer=Optimizer("adam", 5e-5), learns_from="block5_conv1")
HEAD = Phase(
    epochs=50,
    batch_size=64,
    optimizer=Optimizer("adam", 1e-3),
    learns_from="head_flatten",
    through=LAST_BLOCK.learns_from,
)

RATE = "the source gives neither its batch size nor its rate"
UPPER = f"{RATE}, nor which layers it unfroze"
VIEWS = "nor how it varied its images, for which we have {} views of each"

FROZEN_224 = Recipe(
    name="vgg16-frozen-224",
    title="VGG16 at 224 pixels, frozen",
    summary="ImageNet's VGG16 as it is, with three hidden layers on its flattened output.",
    input_size=224,
    parameters=41_071_690,
    phases=(HEAD,),
    precision="mixed_bfloat16",
    reported=Reported(f"{SOURCE}, VGG16 at 224 pixels", 0.78, 0.69, differs=(RATE,)),
    build=partial(build_large, 224),
    pretrained=WEIGHTS,
    space=DROPOUT,
    use=USE_FROZEN,
    averaged=False,
)

FINETUNED_224 = replace(
    FROZEN_224,
    name="vgg16-finetuned-224",
    title="VGG16 at 224 pixels, its last block trained",
    summary="The head first, on VGG16 as it is; then the last block with it, at a low rate.",
    phases=(replace(HEAD, epochs=5), LAST_BLOCK),
    reported=Reported(f"{SOURCE}, VGG16 at 224 pixels, unfrozen", 0.84, 0.54, differs=(UPPER,)),
    use=USE_PRETRAINED,
)

FROZEN_224_AUGMENTED = replace(
    FROZEN_224,
    name="vgg16-frozen-224-augmented",
    title="VGG16 at 224 pixels, frozen, augmented",
    summary="The head on three views of each image: as it is, mirrored, and moved.",
    phases=(replace(HEAD, epochs=100, views=THREE_VIEWS),),
    reported=Reported(
        f"{SOURCE}, VGG16 at 224 pixels, augmented",
        0.68,
        0.89,
        differs=(f"{RATE}, {VIEWS.format('three')}",),
    ),
)

FINETUNED_224_AUGMENTED = replace(
    FINETUNED_224,
    name="vgg16-finetuned-224-augmented",
    title="VGG16 at 224 pixels, its last block trained, augmented",
    summary="The head first, then the last block with it, on each image and its mirror image.",
    phases=(
        replace(HEAD, epochs=10, views=BOTH_SIDES),
        replace(LAST_BLOCK, epochs=40, views=BOTH_SIDES),
    ),
    reported=Reported(
        f"{SOURCE}, VGG16 at 224 pixels, unfrozen, augmented",
        0.78,
        0.65,
        differs=(f"{UPPER}, {VIEWS.format('two')}",),
    ),
)
