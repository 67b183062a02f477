"""Which of ImageNet's thousand classes belong to which class of CIFAR-10.

A network that comes from ImageNet has a head for those, and what it says there is a second opinion
(`judging.parts.pretrained_head`).  The numbers are those of ILSVRC 2012, named in
`networks/imagenet/classes.txt`.

ImageNet has no deer: antelopes stand in for them.  Of horses it has the sorrel, and the horse of a
horse cart.  Pickups, which CIFAR-10 leaves out, are called trucks; buses, motorcycles and tractors
are none of the ten.  The "plane" among ImageNet's classes is a carpenter's.
"""

from __future__ import annotations

BIRDS = (*range(7, 25), *range(80, 101), *range(127, 147))
DOGS = tuple(range(151, 269))

MEMBERS: dict[str, tuple[int, ...]] = {
    # Airliner, warplane, wing.
    "airplane": (404, 895, 908),
    # Beach wagon, cab, convertible, jeep, limousine, minivan, Model T, racer, sports car, and parts
    # of cars: mirror, wheel, grille.
    "automobile": (436, 468, 511, 609, 627, 656, 661, 751, 817, 475, 479, 581),
    "bird": BIRDS,
    # Tabby, tiger cat, Persian, Siamese, Egyptian cat.
    "cat": (281, 282, 283, 284, 285),
    # Hartebeest, impala, gazelle.
    "deer": (351, 352, 353),
    "dog": DOGS,
    # Bullfrog, tree frog, tailed frog.
    "frog": (30, 31, 32),
    # Sorrel, horse cart.
    "horse": (339, 603),
    # Aircraft carrier, catamaran, container ship, fireboat, lifeboat, liner, pirate ship, schooner,
    # speedboat, trimaran, wreck, yawl.
    "ship": (403, 484, 510, 554, 625, 628, 724, 780, 814, 871, 913, 914),
    # Fire engine, garbage truck, moving van, pickup, tow truck, trailer truck.
    "truck": (555, 569, 675, 717, 864, 867),
}
