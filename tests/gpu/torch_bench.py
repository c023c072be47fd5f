#!/usr/bin/env python3
"""The training step of gpu-check by PyTorch and timm, to compare with: the same networks, images, kept
share and optimiser (raw 16-bit images on the device -> augmentation -> loss -> backward -> AdamW), bf16
autocast, eager and torch.compile. Reads lines `model px keep batch`, writes JSON after every figure."""
import argparse
import json
import re
import statistics
import sys
import time

import torch
import torch.nn.functional as F
import timm

WARMUP, TIMED = 10, 30


def clock(device):
    if device == "cuda":
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
    return time.perf_counter()


def between(device, a, b):
    return 1e-3 * a.elapsed_time(b) if device == "cuda" else b - a


def augment(raw, generator):
    """As mammovit's augment.*: vertical flip, rotation by up to 10 degrees, brightness, contrast."""
    b = raw.shape[0]

    def uniform(half):
        return (torch.rand(b, device=raw.device, generator=generator) * 2 - 1) * half

    x = raw.float() / 65535
    angle = uniform(10 * 3.14159265 / 180)
    flip = torch.where(torch.rand(b, device=raw.device, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    affine = torch.stack((torch.stack((cos, -sin * flip, zero), 1), torch.stack((sin, cos * flip, zero), 1)), 1)
    x = F.grid_sample(x, F.affine_grid(affine, list(x.shape), align_corners=False), align_corners=False)
    bright = (1 + uniform(0.1)).view(b, 1, 1, 1)
    contrast = (1 + uniform(0.5)).view(b, 1, 1, 1)
    x = (bright * (contrast * (x - 0.5) + 0.5)).clamp(0, 1)
    return ((x - 0.5) / 0.3).expand(-1, 3, -1, -1)


class Step:
    def __init__(self, model, px, keep, batch, device, compiled):
        options = {"pretrained": False, "num_classes": 2, "img_size": px}
        if keep < 1:
            options["patch_drop_rate"] = 1 - keep
        self.net = timm.create_model(model, **options).to(device).train()
        self.device = device
        self.run = torch.compile(self.loss) if compiled else self.loss
        fused = {"fused": True} if device == "cuda" else {}
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=1e-6, weight_decay=0.05, **fused)
        self.generator = torch.Generator(device=device).manual_seed(1)
        # int32 holds the 16 bits in every version of torch
        self.raw = torch.randint(0, 65536, (batch, 1, px, px), dtype=torch.int32, device=device, generator=self.generator)
        self.label = torch.arange(batch, device=device) % 2

    def loss(self, x):
        with torch.autocast(self.device, dtype=torch.bfloat16):
            return F.cross_entropy(self.net(x).float(), self.label, label_smoothing=0.1)

    def __call__(self):
        loss = self.run(augment(self.raw, self.generator))
        loss.backward()
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        return loss


def attention_kernels(step, device):
    """Names of the attention kernels that one step ran: which backend of SDPA it was."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as p:
        step()
    names = {e.key for e in p.key_averages()}
    return sorted(n[:120] for n in names if re.search(r"sdpa|scaled_dot|flash|fmha|_efficient_attention", n))[:8]


def measure(model, px, keep, batch, device, mode, warmup, timed):
    row = {"model": model, "image_size": px, "keep_rate": keep, "batch": batch, "mode": mode}
    if mode == "compile" and not hasattr(torch, "compile"):
        return {**row, "why": "this torch has no compile"}
    try:
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        step = Step(model, px, keep, batch, device, mode == "compile")
        for _ in range(warmup):
            loss = step()
        marks = [clock(device)]
        for _ in range(timed):
            loss = step()
            marks.append(clock(device))
        if device == "cuda":
            torch.cuda.synchronize()
        if not torch.isfinite(loss):
            return {**row, "why": "the loss is not finite"}
        times = sorted(between(device, a, b) for a, b in zip(marks, marks[1:]))
        middle = statistics.median(times)
        row.update(images_per_second=batch / middle, median_ms=1e3 * middle, q1_ms=1e3 * times[len(times) // 4],
                   q3_ms=1e3 * times[-1 - len(times) // 4], min_ms=1e3 * times[0], max_ms=1e3 * times[-1], loss=float(loss))
        if device == "cuda":
            row["peak_bytes"] = torch.cuda.max_memory_allocated()
        row["attention"] = attention_kernels(step, device)
    except Exception as e:  # out of memory, a version that lacks something: a row with its reason
        row["why"] = f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"[:200]
    return row


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--device", default="cuda")
    a.add_argument("--seconds", type=float, default=180)
    a.add_argument("--out", required=True)
    a.add_argument("--warmup", type=int, default=WARMUP)
    a.add_argument("--timed", type=int, default=TIMED)
    a = a.parse_args()
    began = time.monotonic()
    if a.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no card")
    torch.set_float32_matmul_precision("high")
    cudnn = torch.backends.cudnn.version() if a.device == "cuda" else None
    out = {"torch": torch.__version__, "timm": timm.__version__, "cudnn": cudnn, "device": a.device, "rows": [], "not_run": []}
    asked = [line.split() for line in sys.stdin if line.strip()]
    work = [(m, int(s), float(k), int(b), mode) for mode in ("eager", "compile") for m, s, k, b in asked]
    good = 0
    for model, px, keep, batch, mode in work:
        left = a.seconds - (time.monotonic() - began)
        if left < (60 if mode == "compile" and a.device == "cuda" else 5):
            out["not_run"].append({"model": model, "image_size": px, "mode": mode})
        else:
            row = measure(model, px, keep, batch, a.device, mode, a.warmup, a.timed)
            good += "images_per_second" in row
            out["rows"].append(row)
            print(mode, model, px, keep, batch, row.get("images_per_second", row.get("why")), flush=True)
            if a.device == "cuda":
                torch.cuda.empty_cache()
        with open(a.out, "w") as f:
            json.dump(out, f)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
