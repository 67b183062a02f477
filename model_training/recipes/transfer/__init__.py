"""Networks whose first layers come from ImageNet: transfer learning."""
