"""The torch side of test_torch_export.sh: timm reads a safetensors file of ours, and writes its own.

usage: torch_export.py read MODEL CLASSES FILE NUMBERS     timm loads FILE (strict), compares NUMBERS
       torch_export.py write MODEL CLASSES STEM            STEM.safetensors, STEM.pth: random weights
       torch_export.py compare MODEL CLASSES FILE NUMBERS  timm's features only; the heads differ
"""
import json
import os
import sys

import numpy as np
import timm
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/deit"))
from record_deit import MEAN, SD, error, image_values  # noqa: E402

TYPES = {torch.float32: ("F32", "<f4"), torch.int64: ("I64", "<i8")}


def read_safetensors(path):
    """The format by its published description: u64 length, JSON header, data."""
    with open(path, "rb") as f:
        data = f.read()
    n = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + n]), data[8 + n:]
    header.pop("__metadata__", None)
    dtypes = {name: np_type for name, np_type in TYPES.values()}
    return {k: torch.from_numpy(np.frombuffer(body[slice(*h["data_offsets"])], dtypes[h["dtype"]])
                                .reshape(h["shape"]).copy()) for k, h in header.items()}


def write_safetensors(path, state):
    header, body, at = {}, [], 0
    for k, v in state.items():
        name, np_type = TYPES[v.dtype]
        raw = v.contiguous().numpy().astype(np_type).tobytes()
        header[k] = {"dtype": name, "shape": list(v.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        body.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(body))


def create(name, classes):
    """Our names of networks with registers stand for one of timm's with an argument; 0.4.12 has the
    class of ViT-B/8 but not its name."""
    if name == "vit_base_patch8_224" and not timm.is_model(name):
        return timm.models.vision_transformer.VisionTransformer(patch_size=8, num_classes=classes)
    more = {"reg_tokens": 4} if "_reg4_" in name else {}
    return timm.create_model(name.replace("_reg4_", "_"), num_classes=classes, **more)


def load_strict(model, state):
    """Buffers that follow from the window are no weights: timm 0.4.12 wants its own back."""
    buffers = {k for k, _ in model.named_buffers()}
    state.update((k, v) for k, v in model.state_dict().items() if k in buffers)
    model.load_state_dict(state, strict=True)


def write(model, stem):
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    write_safetensors(stem + ".safetensors", model.state_dict())
    torch.save({"model": model.state_dict(), "epoch": 3}, stem + ".pth")


def main():
    verb, name, classes, path = sys.argv[1:5]
    torch.set_num_threads(2)
    torch.manual_seed(5)
    model = create(name, int(classes))
    if verb == "write":
        write(model, path)
        return
    load_strict(model, read_safetensors(path))
    model = model.double().eval()
    images = np.stack([image_values(b, 3, 224, 224) for b in range(2)])
    x = torch.from_numpy((images / 65535.0 - MEAN) / SD)
    with torch.no_grad():
        if verb == "compare":
            want = {"feature": model.forward_features(x)}
            if want["feature"].ndim == 3:  # newer versions return all tokens
                want["feature"] = want["feature"][:, 0]
        else:
            want = {"logit": model(x)}
    with open(sys.argv[5]) as f:
        lines = [line.split() for line in f]
    for kind, ref in want.items():
        got = [float(v[1]) for v in lines if v[0] == kind]
        ref = ref.ravel().tolist()
        e = error(got, ref) if len(got) == len(ref) else float("inf")
        print(f"# {kind}: {len(got)} numbers of {len(ref)}, error {e:.2e}")
        if not e < 1e-5:
            sys.exit(f"{kind}: {len(got)} numbers of {len(ref)}, error {e:.2e}, limit 1e-5")


if __name__ == "__main__":
    main()
