#!/usr/bin/env python3
"""Networks of ours against the same networks by PyTorch and timm, live: same float32 weights, kept
patches, raw images and labels (parity.c writes them with what it computed). PyTorch in float32
without TF32 is the reference; how far its own autocast to bf16 is from that is the measure of ours.
Every run also judges networks with a planted fault, which must not pass.

parity.py FOLDER --device cuda --out parity.json     exit status: 0 all agree, 1 something differs"""
import argparse
import copy
import json
import math
import re
import sys

import torch
import torch.nn.functional as F
import timm

LOSS = 2e-3  # relative
RATIO = 1.3  # of the error of PyTorch's autocast
COSINE = 0.999
FLOAT32, FLOAT32_LOSS = 5e-4, 1e-5  # ours in float32
ROW = 1e-3  # from 1: a sum of probabilities
ROUNDINGS = (None, 1, 2)  # of PyTorch's: its own, and of weights that were moved by seeds
WRONG_SCALE, WRONG_CURVE = 0.8, 0.5  # of the planted attention: one pass, a training
LOST = "blocks.1.attn.proj.bias"  # the planted gradient that is lost
# Behind a GELU that works about -3.25 (parity.c), where its forms part by a seventh: right to float32's
# last places in its exact form; a tanh of the hardware, right to 2^-11, is not.
TAIL = "blocks.0.mlp.fc2.weight"


def load(path):
    """The arrays of a safetensors file, all of them float32."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = bytearray(f.read())
    out = {}
    for name, a in header.items():
        if name != "__metadata__":
            first, last = a["data_offsets"]
            out[name] = torch.frombuffer(data[first:last], dtype=torch.float32).reshape(a["shape"])
    return out


class ByHand(torch.overrides.TorchFunctionMode):
    """What autocast does on a card, where PyTorch has no products of bf16 that sum in float32 (some
    builds for the CPU): operands and results of products are rounded, softmax, norms and the inside of
    GELU are in float32."""

    PRODUCTS = (F.linear, F.conv2d, torch.conv2d, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__)
    FLOAT32 = (F.softmax, torch.softmax, torch.Tensor.softmax, F.layer_norm)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        def each(change):
            return [change(a) if torch.is_tensor(a) else a for a in args]

        kwargs = kwargs or {}
        if func in self.PRODUCTS:
            return func(*each(lambda a: a.bfloat16().float()), **kwargs).bfloat16()
        if func in self.FLOAT32:
            return func(*each(lambda a: a.float()), **kwargs)
        if func is F.gelu:
            return func(*each(lambda a: a.float()), **kwargs).to(args[0].dtype)
        return func(*args, **kwargs)


def rounds_once(device):
    """Do products of bf16 sum in float32?"""
    g = torch.Generator().manual_seed(1)
    a, b = (torch.randn(256, 256, generator=g).to(device).bfloat16() for _ in range(2))
    want = a.double() @ b.double()
    error = ((a @ b).double() - want).norm() / want.norm()
    return float(error) < 2**-8


class Case:
    """A network of timm's with the weights, patches, images and labels of ours."""

    def __init__(self, given, model, depth, device):
        self.given, self.device = given, device
        self.by_hand = not rounds_once(device)
        self.px = given["image"].shape[-1]
        image = given["image"].to(device).unsqueeze(1).expand(-1, 3, -1, -1)
        self.x = (image / 65535 - given["mean"].to(device)) / given["sd"].to(device)
        self.label = given["label"].long().to(device)
        prefix = torch.zeros(len(self.label), 1)
        self.keep = torch.cat((prefix, given["keep"] + 1), 1).long().to(device).unsqueeze(-1)
        self.row_block = int(given["row_block"])
        self.row = None  # of the last pass
        self.plain = timm.create_model(model, pretrained=False, num_classes=2, img_size=self.px)
        self.plain.blocks = self.plain.blocks[:depth]
        self.plain.load_state_dict({k: given[k] for k in self.plain.state_dict()})

    def net(self, tanh=False, explicit=False, scale=1.0, seed=None, narrow=False):
        """narrow: a residual stream in bf16, as in bf16_fast. seed: every weight is moved by half a unit
        of bf16's last place at most, so that it is rounded another way."""
        net = copy.deepcopy(self.plain)
        net.blocks[0].register_forward_pre_hook(lambda _, x: self.kept(x[0], narrow))
        net.blocks[self.row_block].attn.qkv.register_forward_hook(self.keep_row)
        self.heads = net.blocks[0].attn.num_heads
        for b in net.blocks:
            b.attn.scale *= scale
            if explicit or scale != 1:  # timm's own products and softmax
                b.attn.fused_attn = False
            if tanh:
                b.mlp.act = torch.nn.GELU(approximate="tanh")
        if seed is not None:
            g = torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for p in net.parameters():
                    p.mul_(1 + (torch.rand(p.shape, generator=g) - 0.5) * 2**-7)
        return net.to(self.device).train()

    def autocast(self, amp):
        if amp and self.by_hand:
            return ByHand()
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=amp)

    def kept(self, x, narrow):
        """In the place of timm's patch_drop: the kept patches behind the class token."""
        x = x.gather(1, self.keep.expand(-1, -1, x.shape[-1]))
        return x.bfloat16() if narrow else x

    def keep_row(self, module, x, y):
        """What the class token attends to, averaged over heads."""
        b, t, c = y.shape
        q, k, _ = y.detach().double().reshape(b, t, 3, self.heads, -1).unbind(2)
        logits = torch.einsum("bhd,bthd->bht", q[:, 0], k) * q.shape[-1] ** -0.5
        self.row = logits.softmax(-1).mean(1)

    def loss(self, net, amp):
        with self.autocast(amp):
            return F.cross_entropy(net(self.x).float(), self.label)

    def gradients(self, amp=False, **how):
        net = self.net(explicit=not amp, **how)
        loss = self.loss(net, amp)
        loss.backward()
        return Result(float(loss), {n: p.grad.double() for n, p in net.named_parameters()}, self.row)

    def curve(self, steps, amp=False, **how):
        net = self.net(explicit=not amp, **how)
        groups = {True: [], False: []}
        for n, p in net.named_parameters():
            groups[p.ndim > 1 and not n.endswith(".bias")].append(p)
        decay = float(self.given["weight_decay"])
        opt = torch.optim.AdamW(
            [{"params": groups[True], "weight_decay": decay}, {"params": groups[False], "weight_decay": 0}],
            lr=float(self.given["lr"]))
        losses = []
        for _ in range(steps):
            opt.zero_grad(set_to_none=True)
            loss = self.loss(net, amp)
            loss.backward()
            opt.step()
            losses.append(float(loss))
        return losses


class Result:
    """One pass: loss, gradients by name, the row of probabilities."""

    def __init__(self, loss, gradient, row):
        self.loss, self.gradient, self.row = loss, gradient, row

    @classmethod
    def of_file(cls, arrays, device):
        own = {n[9:]: x.double().to(device) for n, x in arrays.items() if n.startswith("gradient.")}
        row = arrays["row"].double().to(device) if "row" in arrays else None
        return cls(float(arrays["loss"][0]), own, row)

    def without(self, name):
        own = dict(self.gradient)
        own[name] = torch.zeros_like(own[name])
        return Result(self.loss, own, self.row)


def apart(got, want):
    return float((got - want).norm() / want.norm())


def errors(got, want):
    if got.gradient.keys() != want.gradient.keys():
        sys.exit("parity: the networks have other parameters")
    return {n: apart(got.gradient[n], g) for n, g in want.gradient.items()}


def cosines(got, want):
    return {n: float((got.gradient[n] * g).sum() / got.gradient[n].norm() / g.norm())
            for n, g in want.gradient.items()}


def middle(values):
    return sorted(values)[len(list(values)) // 2]


class Measure:
    """PyTorch in float32, and how far its autocast is from that: by tensor the largest of a few
    roundings, and no less than the median tensor's, for the few numbers of a small tensor can be
    right by chance."""

    def __init__(self, case, tanh):
        self.tanh, self.want = tanh, case.gradients(tanh=tanh)
        self.noise, self.cosine, self.row_noise = {}, {}, 0.0
        for seed in ROUNDINGS:
            right = self.want if seed is None else case.gradients(tanh=tanh, seed=seed)
            amp = case.gradients(amp=True, tanh=tanh, narrow=tanh, seed=seed)
            for n, e in errors(amp, right).items():
                self.noise[n] = max(self.noise.get(n, 0), e)
            for n, c in cosines(amp, right).items():
                self.cosine[n] = min(self.cosine.get(n, 1), c)
            self.row_noise = max(self.row_noise, apart(amp.row, right.row))
        self.floor = middle(self.noise.values())

    def allowed(self, name):
        if self.tanh and name == TAIL:
            return math.inf
        return RATIO * max(self.noise[name], self.floor)

    def turned(self, name):
        """1 - cosine that is allowed; to first order a half of the error's square."""
        if self.tanh and name == TAIL:
            return math.inf
        return max(1 - COSINE, RATIO**2 * (1 - self.cosine[name]))


def worst_of(values):
    """Largest value and its name; NaN is larger than all."""
    return max(((v if v == v else math.inf, n) for n, v in values.items()))


def judge(got, m, exact):
    """-> what was found, and `why`: empty where got is the network of the reference m."""
    e, c, why = errors(got, m.want), cosines(got, m.want), []
    share = {n: x / (FLOAT32 if exact else m.allowed(n)) for n, x in e.items()}
    off, worst = abs(got.loss / m.want.loss - 1), worst_of(share)
    low = {n: (1 - x) / m.turned(n) for n, x in c.items()}
    found = {"loss": got.loss, "loss_error": off, "worst": worst[0], "worst_tensor": worst[1],
             "error": middle(e.values()), "least_cosine": -worst_of({n: -x for n, x in c.items()})[0]}
    if not off <= (FLOAT32_LOSS if exact else LOSS):
        why.append(f"the loss is off by {off:.1e}")
    if not worst[0] <= 1:
        why.append(f"the gradient of {worst[1]} is off by {worst[0]:.2f} of what is allowed")
    if not worst_of(low)[0] <= 1:
        why.append(f"the gradient of {worst_of(low)[1]} points elsewhere: cosine {c[worst_of(low)[1]]:.5f}")
    return {**found, "why": "; ".join(why)}


def judge_row(row, m, exact):
    sums, off = float((row.sum(-1) - 1).abs().max()), apart(row, m.want.row)
    allowed = FLOAT32 if exact else RATIO * m.row_noise
    why = []
    if not sums <= ROW:
        why.append(f"probabilities sum to 1 within {sums:.1e} only")
    if not off <= allowed:
        why.append(f"the class token's probabilities are off by {off:.1e}, {allowed:.1e} are allowed")
    return {"row_sum_error": sums, "row_error": off, "row_error_torch": m.row_noise, "why": "; ".join(why)}


def distance(curve, want):
    return worst_of({i: abs(a - b) for i, (a, b) in enumerate(zip(curve, want))})[0]


def spread(curves):
    """How far trainings of PyTorch's in autocast, rounded in several ways, are from the first one."""
    return max(distance(c, curves[0]) for c in curves[1:])


def judge_curve(losses, curves, exact):
    """curves: PyTorch's, in float32 and in autocast. Of a few images one rounding can be most of a
    loss's error: what a single loss may be off by is allowed."""
    off, first = distance(losses, curves[0]), curves[0][0]
    allowed = 10 * FLOAT32_LOSS * first if exact else max(RATIO * spread(curves), LOSS * first)
    why = "" if off <= allowed else f"the losses part by {off:.1e}, {allowed:.1e} are allowed"
    return {"curve_error": off, "curve_spread": spread(curves), "curve_allowed": allowed, "why": why}


def by_class(got, m):
    """Error of ours and of PyTorch's autocast, by class of tensor: root of the mean square."""
    sums = {}
    for n, e in errors(got, m.want).items():
        kind = re.sub(r"^blocks\.\d+\.", "", n)
        s = sums.setdefault(kind, [0, 0.0, 0.0])
        s[0], s[1], s[2] = s[0] + 1, s[1] + e * e, s[2] + m.noise[n] ** 2
    return {k: {"ours": math.sqrt(a / n), "torch": math.sqrt(b / n)} for k, (n, a, b) in sums.items()}


def float32_is_exact(device):
    """No TF32 in the reference, whatever a version calls the switch."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    g = torch.Generator().manual_seed(2)
    x, w = torch.randn(4, 64, 64, 64, generator=g).to(device), torch.randn(64, 64, 4, 4, generator=g).to(device)
    a = torch.randn(512, 512, generator=g).to(device)
    conv = apart(F.conv2d(x, w, stride=4).double(), F.conv2d(x.double(), w.double(), stride=4))
    return conv < 2e-5 and apart((a @ a).double(), a.double() @ a.double()) < 2e-5


SHOWN = (("loss", "loss_error"), ("gradients", "error"), ("of allowed", "worst"), ("row", "row_error"),
         ("curve", "curve_error"), ("spread", "curve_spread"))


class Report:
    """Rows of the result, printed as they come."""

    def __init__(self):
        self.rows = []

    def add(self, what, *found, planted=False):
        """found: what judges said. A planted fault passes where one of them objects."""
        why = "; ".join(f["why"] for f in found if f["why"])
        r = {"what": what, "planted": planted}
        for f in found:
            r.update(f)
        r.update(why=why, passed=bool(why) == planted)
        self.rows.append({k: None if v in (math.inf, -math.inf) or v != v else v for k, v in r.items()})
        said = "  ".join(f"{word} {r[key]:.1e}" for word, key in SHOWN if key in r)
        print(f"{what:31} {said}  {'passed' if r['passed'] else 'FAILED'}{': ' + why if why else ''}", flush=True)


def judge_precision(report, case, folder, precision, m, curves):
    """Ours in one precision, with a last block for the class token alone and with a full one."""
    exact, got = precision == "f32", {}
    for last in ("cls", "full"):
        arrays = load(f"{folder}/{precision}_{last}.safetensors")
        own = got[last] = Result.of_file(arrays, case.device)
        found = [judge(own, m, exact), {"classes": by_class(own, m), "why": ""}]
        if last == "cls":
            losses = arrays["loss"].tolist()
            found += [judge_row(own.row, m, exact), judge_curve(losses, curves, exact)]
            found.append({"curve": losses, "curve_torch": curves[0], "why": ""})
        report.add(f"{precision}, last block {last}", *found)
    differ = {n: float((got["full"].gradient[n] - g).norm() / m.want.gradient[n].norm()) /
              (FLOAT32 if exact else m.allowed(n)) for n, g in got["cls"].gradient.items()}
    top, at = worst_of(differ)
    why = "" if top <= 1 else f"the gradient of {at} differs by {top:.2f} of what is allowed"
    report.add(f"{precision}, both last blocks", {"worst": top, "worst_tensor": at, "why": why})


def judge_planted(report, case, folder, measures, curves):
    """Faults that must not pass, judged as ours are."""
    m = measures[False]
    own = Result.of_file(load(f"{folder}/bf16_cls.safetensors"), case.device)
    for what, found in (
        ("a bias without gradient", judge(own.without(LOST), m, False)),
        ("attention's scale", judge(case.gradients(amp=True, scale=WRONG_SCALE), m, False)),
        ("GELU's other form", judge(case.gradients(amp=True, tanh=True), m, False)),
        ("GELU's other form, f32", judge(measures[True].want, m, True)),
        ("a loss that is NaN", judge(Result(math.nan, own.gradient, own.row), m, False)),
        ("a row of probabilities", judge_row(own.row * (1 + 2 * ROW), m, False)),
        ("a training", judge_curve(case.curve(len(curves[0]), amp=True, scale=WRONG_CURVE), curves, False)),
    ):
        report.add(f"planted: {what}", found, planted=True)


def compare(case, folder):
    """-> rows, one for each of our variants, and one for each planted fault."""
    report, measures, curves = Report(), {}, {}
    steps = len(load(f"{folder}/f32_cls.safetensors")["loss"])
    for tanh in (False, True):
        measures[tanh] = Measure(case, tanh)
        curves[tanh] = [case.curve(steps, tanh=tanh)]
        curves[tanh] += [case.curve(steps, amp=True, tanh=tanh, narrow=tanh, seed=s) for s in ROUNDINGS]
    for precision in ("f32", "bf16", "bf16_fast"):
        tanh = precision == "bf16_fast"
        judge_precision(report, case, folder, precision, measures[tanh], curves[tanh])
    judge_planted(report, case, folder, measures, curves[False])
    return report.rows


def main():
    a = argparse.ArgumentParser()
    a.add_argument("folder")
    a.add_argument("--model", required=True)
    a.add_argument("--depth", type=int, required=True)
    a.add_argument("--device", default="cuda")
    a.add_argument("--out", required=True)
    a = a.parse_args()
    device, _, card = a.device.partition(":")
    if device == "cuda":
        if not torch.cuda.is_available():
            sys.exit("torch sees no card")
        torch.cuda.set_device(int(card or 0))
    if not float32_is_exact(device):
        sys.exit("parity: PyTorch's float32 is not exact here; a reference is wanted without TF32")
    case = Case(load(f"{a.folder}/input.safetensors"), a.model, a.depth, device)
    rows = compare(case, a.folder)
    out = {"model": a.model, "depth": a.depth, "image_size": case.px, "batch": len(case.label),
           "tokens": case.keep.shape[1], "torch": torch.__version__, "timm": timm.__version__,
           "autocast": "by hand" if case.by_hand else "torch", "rows": rows}
    with open(a.out, "w") as f:
        json.dump(out, f)
    sys.exit(0 if all(r["passed"] for r in rows) else 1)


if __name__ == "__main__":
    main()
