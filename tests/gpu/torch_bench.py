#!/usr/bin/env python3
"""The training step of gpu-check by PyTorch and timm, to compare with: the same networks, images, kept
share and optimiser (raw 16-bit images on the device -> augmentation -> loss -> backward -> AdamW), bf16
autocast, eager and torch.compile; what forward leaves for backward; the largest batch. Reads lines
`model px keep batch`, batch `largest` asks for that; writes JSON after every figure."""
import argparse
import gc
import json
import re
import statistics
import sys
import time

import torch
import torch.nn.functional as F
import timm

WARMUP, TIMED = 10, 30
LARGEST = 4096
# how torch.compile is asked, and the seconds that must be left for it on a card
MODES = {"eager": (None, 5), "compile": ("default", 60), "autotune": ("max-autotune-no-cudagraphs", 120)}
NOT_FINITE = "the loss is not finite"


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
    def __init__(self, model, px, keep, batch, device, compiled=None):
        options = {"pretrained": False, "num_classes": 2, "img_size": px}
        if keep < 1:
            options["patch_drop_rate"] = 1 - keep
        self.net = timm.create_model(model, **options).to(device).train()
        self.device = device
        self.run = torch.compile(self.loss, mode=compiled) if compiled else self.loss
        fused = {"fused": True} if device == "cuda" else {}
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=1e-6, weight_decay=0.05, **fused)
        self.generator = torch.Generator(device=device).manual_seed(1)
        # int32 holds the 16 bits in every version of torch
        self.raw = torch.randint(0, 65536, (batch, 1, px, px), dtype=torch.int32, device=device, generator=self.generator)
        self.label = torch.arange(batch, device=device) % 2

    def loss(self, x):
        with torch.autocast(self.device, dtype=torch.bfloat16):
            return F.cross_entropy(self.net(x).float(), self.label, label_smoothing=0.1)

    def forward(self):
        return self.run(augment(self.raw, self.generator))

    def finish(self, loss):
        loss.backward()
        self.opt.step()
        self.opt.zero_grad(set_to_none=True)
        return loss

    def __call__(self):
        return self.finish(self.forward())

    def memory(self):
        """Bytes that forward leaves for backward and the peak of the same step, median of three."""
        saved, peak = [], []
        for _ in range(3):
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            loss = self.forward()
            saved.append(torch.cuda.memory_allocated() - before)
            self.finish(loss)
            del loss
            peak.append(torch.cuda.max_memory_allocated())
        return {"saved_bytes": statistics.median(saved), "peak_bytes": statistics.median(peak)}


def attention_kernels(step, device):
    """Names of the attention kernels that one step ran, and which backend of SDPA that is."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as p:
        step()
    names = {e.key for e in p.key_averages()}
    found = re.findall(r"_?scaled_dot_product_(cudnn|flash|fused|efficient|attention_math)", " ".join(names))
    return {"sdpa": sorted(set(found)),
            "attention": sorted(n[:120] for n in names if re.search(r"sdpa|scaled_dot|flash|fmha|_efficient_attention", n))[:8]}


def largest(fits):
    """Doubled until it does not fit, then halfway between: within a 16th, as gpu-check does with ours."""
    most, batch = 0, 1
    while batch <= LARGEST and fits(batch):
        most, batch = batch, 2 * batch
    grown = most // 2
    while grown >= 1 and grown >= most // 16:
        most += grown if fits(most + grown) else 0
        grown //= 2
    return most


def largest_batch(model, px, keep, device, until):
    row = {"model": model, "image_size": px, "keep_rate": keep, "mode": "largest"}
    ended = []

    def fits(batch):
        if time.monotonic() > until:
            ended.append("no time left: more may fit")
            return False
        step = None
        try:
            step = Step(model, px, keep, batch, device)
            for _ in range(2):
                loss = float(step())
            return loss == loss
        except RuntimeError as e:  # every version's error for memory is one
            if "out of memory" not in str(e).lower():
                ended.append(str(e).splitlines()[0][:200])
            return False
        finally:
            del step
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()

    row["batch"] = largest(fits)
    if ended:
        row["why"] = ended[0]
    return row


def measure(model, px, keep, batch, device, mode, warmup, timed):
    row = {"model": model, "image_size": px, "keep_rate": keep, "batch": batch, "mode": mode}
    compiled = MODES[mode][0]
    if compiled and not hasattr(torch, "compile"):
        return {**row, "why": "this torch has no compile"}
    try:
        step = Step(model, px, keep, batch, device, compiled)
        for _ in range(warmup):
            loss = step()
        marks = [clock(device)]
        for _ in range(timed):
            loss = step()
            marks.append(clock(device))
        if device == "cuda":
            torch.cuda.synchronize()
        if not torch.isfinite(loss):
            return {**row, "why": NOT_FINITE}
        times = sorted(between(device, a, b) for a, b in zip(marks, marks[1:]))
        middle = statistics.median(times)
        row.update(images_per_second=batch / middle, median_ms=1e3 * middle, q1_ms=1e3 * times[len(times) // 4],
                   q3_ms=1e3 * times[-1 - len(times) // 4], min_ms=1e3 * times[0], max_ms=1e3 * times[-1], loss=float(loss))
        if device == "cuda":
            row.update(step.memory())
        row.update(attention_kernels(step, device))
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
    device, _, card = a.device.partition(":")
    if device == "cuda":
        if not torch.cuda.is_available():
            sys.exit("torch sees no card")
        torch.cuda.set_device(int(card or 0))
    torch.set_float32_matmul_precision("high")
    cudnn = torch.backends.cudnn.version() if device == "cuda" else None
    out = {"torch": torch.__version__, "timm": timm.__version__, "cudnn": cudnn, "device": device,
           "rows": [], "largest": [], "not_run": []}
    asked = [line.split() for line in sys.stdin if line.strip()]
    steps = [line for line in asked if line[3] != "largest"]
    work = [("eager", *w) for w in steps] + [("largest", *w) for w in asked if w[3] == "largest"]
    work += [(mode, *w) for mode in MODES if mode != "eager" for w in steps]
    good = wrong = 0
    for mode, model, px, keep, batch in work:
        left = a.seconds - (time.monotonic() - began)
        if left < (MODES.get(mode, MODES["eager"])[1] if device == "cuda" else 5):
            out["not_run"].append({"model": model, "image_size": int(px), "mode": mode})
        elif mode == "largest":
            row = largest_batch(model, int(px), float(keep), device, began + a.seconds - 5)
            out["largest"].append(row)
            print(mode, model, px, keep, row["batch"], row.get("why", ""), flush=True)
        else:
            row = measure(model, int(px), float(keep), int(batch), device, mode, a.warmup, a.timed)
            good += "images_per_second" in row
            wrong += row.get("why") == NOT_FINITE
            out["rows"].append(row)
            print(mode, model, px, keep, batch, row.get("images_per_second", row.get("why")), flush=True)
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()
        with open(a.out, "w") as f:
            json.dump(out, f)
    sys.exit(0 if good and not wrong else 1)


if __name__ == "__main__":
    main()
