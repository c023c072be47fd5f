"""The torch side of test_torch_export.sh: timm reads a safetensors file of ours, and writes one.

usage: torch_export.py read MODEL CLASSES FILE NUMBERS     timm loads FILE (strict), compares NUMBERS
       torch_export.py write MODEL CLASSES FILE            timm's names, random weights
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
from record_deit import MEAN, SD, error, forward, image_values  # noqa: E402


def read_safetensors(path):
    """The format by its published description: u64 length, JSON header, data."""
    with open(path, "rb") as f:
        data = f.read()
    n = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8:8 + n]), data[8 + n:]
    header.pop("__metadata__", None)
    assert all(h["dtype"] == "F32" for h in header.values())
    return {k: torch.from_numpy(np.frombuffer(body[slice(*h["data_offsets"])], "<f4")
                                .reshape(h["shape"]).copy()) for k, h in header.items()}


def write_safetensors(path, state):
    header, body, at = {}, [], 0
    for k, v in state.items():
        raw = v.contiguous().numpy().astype("<f4").tobytes()
        header[k] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        body.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(body))


def main():
    verb, name, classes, path = sys.argv[1:5]
    torch.set_num_threads(2)
    torch.manual_seed(5)
    model = timm.create_model(name, num_classes=int(classes))
    if verb == "write":
        with torch.no_grad():
            for n, p in model.named_parameters():
                p.add_(0.05 * torch.randn_like(p))
        write_safetensors(path, model.state_dict())
        return
    model.load_state_dict(read_safetensors(path), strict=True)
    model = model.double().eval()
    images = np.stack([image_values(b, 3, 224, 224) for b in range(2)])
    x = torch.from_numpy((images / 65535.0 - MEAN) / SD)
    with torch.no_grad():
        want = {"feature": model.forward_features(x), "logit": forward(model, x, None)}
    if verb == "compare":
        del want["logit"]
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
