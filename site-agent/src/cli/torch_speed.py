"""Images a second of a timm or torchvision network with random weights, channels-last, as one line of JSON: what
`wardround-site device` shows beside its own.

    python3 torch_speed.py NAME CHANNELS SIDE BATCH PRECISION DEVICE SECONDS
"""

import contextlib
import json
import sys
import time

name, channels, side, batch, precision, device, seconds = sys.argv[1:]
channels, side, batch, seconds = int(channels), int(side), int(batch), float(seconds)
try:
    import torch
except ImportError:
    sys.exit("this Python has no torch")
device = {"metal": "mps"}.get(device, device)
try:
    import timm
    size = {} if name.startswith(("resnet", "vgg", "densenet", "efficientnet", "tf_", "mobilenet", "convnext")) else {"img_size": side}
    model = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels, **size)
except ImportError:
    try:
        import torchvision
        model = torchvision.models.get_model(name, weights=None)
    except (ImportError, ValueError):
        sys.exit(f"this Python has torch, and neither timm nor a torchvision with {name}")
except RuntimeError as error:
    sys.exit(f"timm has no {name} ({error})")
# As the features that are compared: f32 is f32.
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True
try:
    model = model.eval().to(device).to(memory_format=torch.channels_last)
    images = torch.randn(batch, channels, side, side).to(memory_format=torch.channels_last)
except (RuntimeError, AssertionError) as error:
    sys.exit(f"torch can't use {device} ({str(error).splitlines()[0]})")
kind = device.split(":")[0]
half = torch.autocast(kind, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
with torch.inference_mode(), half:
    # From the host and back, as an extraction does it.
    run = lambda: model(images.to(device)).float().cpu()
    for _ in range(3):
        run()
    start, rounds = time.perf_counter(), 0
    while rounds == 0 or time.perf_counter() - start < seconds:
        run()
        rounds += 1
    speed = rounds * batch / (time.perf_counter() - start)
print(json.dumps({"torch": torch.__version__, "device": device, "batch": batch, "images_per_s": speed}))
