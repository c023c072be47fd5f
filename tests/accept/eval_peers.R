# Helper of test_eval_peers.sh: the program's statistics again, by pROC, survival and stats where
# they know them, else from the definitions, pair by pair.
# Rscript eval_peers.R numbers | sets FILE... | asah DIR
# Prints DATASET TAB METRIC TAB VALUE TAB SOURCE [TAB TOLERANCE]. Names as in eval_probe.c.
options(warn = -1, digits = 17)
suppressPackageStartupMessages({
  library(pROC)
  library(survival)
})
has_boot <- requireNamespace("boot", quietly = TRUE)
has_rr <- suppressPackageStartupMessages(requireNamespace("riskRegression", quietly = TRUE) &&
                                           requireNamespace("prodlim", quietly = TRUE))
Z <- qnorm(.975)
dataset <- "numbers"
prefix <- ""
source_name <- "definition"

line <- function(metric, value, tolerance = NULL, from = source_name) {
  value <- as.numeric(value)
  shown <- ifelse(is.finite(value), sprintf("%.17g", value), "NA")
  cat(paste0(dataset, "\t", prefix, metric, "\t", shown, "\t", from,
             if (!is.null(tolerance)) sprintf("\t%.17g", tolerance), "\n"), sep = "")
}
line_at <- function(metric, i, value, ...) line(sprintf("%s[%d]", metric, i), value, ...)

# ---- AUC ----------------------------------------------------------------------------------------

# Weight of the values of y below x, ties one half, as a share.
share_below <- function(x, y, w) {
  if (as.numeric(length(x)) * length(y) <= 4e6) {
    s <- outer(x, y, function(a, b) (a > b) + .5 * (a == b))
    return(as.vector(s %*% w) / sum(w))
  }
  level <- sort(unique(y))
  mass <- as.vector(tapply(w, factor(match(y, level), seq_along(level)), sum))
  up_to <- c(0, cumsum(mass))
  at_or_below <- findInterval(x, level)
  below <- findInterval(x, level, left.open = TRUE)
  (up_to[at_or_below + 1] + up_to[below + 1]) / 2 / sum(w)
}

# Centred sums of one score over clusters, and its AUC (Obuchowski 1997).
parts <- function(s, y, w, cluster) {
  one <- y == 1
  v10 <- share_below(s[one], s[!one], w[!one])
  v01 <- 1 - share_below(s[!one], s[one], w[one])
  auc <- sum(w[one] * v10) / sum(w[one])
  id <- factor(cluster, unique(cluster))
  add <- function(v, at) {
    out <- tapply(v, id[at], sum)
    out[is.na(out)] <- 0
    as.vector(out)
  }
  list(auc = auc, u10 = add(w[one] * (v10 - auc), one), u01 = add(w[!one] * (v01 - auc), !one),
       i = nlevels(id), i10 = length(unique(cluster[one])), i01 = length(unique(cluster[!one])),
       w1 = sum(w[one]), w0 = sum(w[!one]))
}
cross <- function(p, q) {
  p$i10 / (p$i10 - 1) * sum(p$u10 * q$u10) / p$w1^2 +
    p$i01 / (p$i01 - 1) * sum(p$u01 * q$u01) / p$w0^2 +
    p$i / (p$i - 1) * (sum(p$u10 * q$u01) + sum(p$u01 * q$u10)) / (p$w1 * p$w0)
}
own_auc <- function(s, y, w, cluster = seq_along(y)) {
  if (length(unique(y)) < 2) return(c(NA, NA))
  p <- parts(s, y, w, cluster)
  c(p$auc, cross(p, p))
}
clip01 <- function(x) pmin(1, pmax(0, x))
flat <- function(v) is.na(v) || v < 1e-20 # no variance, no interval

auc_lines <- function(d, plain) {
  p <- parts(d$a, d$y, d$w, d$cluster)
  q <- parts(d$b, d$y, d$w, d$cluster)
  v <- cross(p, p)
  b <- cross(q, q)
  covariance <- cross(p, q)
  logit <- if (flat(v)) c(NA, NA) else
    plogis(qlogis(p$auc) + c(-1, 1) * Z * sqrt(v) / (p$auc * (1 - p$auc)))
  line("auc", p$auc)
  line("auc.var", v)
  line("auc.lo", if (flat(v)) NA else clip01(p$auc - Z * sqrt(v)))
  line("auc.hi", if (flat(v)) NA else clip01(p$auc + Z * sqrt(v)))
  line("auc.logit_lo", logit[1])
  line("auc.logit_hi", logit[2])
  difference <- p$auc - q$auc
  var_d <- v + b - 2 * covariance
  if (flat(var_d)) var_d <- NA
  line("pair.diff", difference)
  line("pair.cov", covariance)
  line("pair.z", difference / sqrt(var_d))
  line("pair.p", 2 * pnorm(-abs(difference) / sqrt(var_d)))
  line("pair.lo", difference - Z * sqrt(var_d))
  line("pair.hi", difference + Z * sqrt(var_d))
  if (!plain) return(invisible())
  ra <- roc(d$y, d$a, levels = 0:1, direction = "<", quiet = TRUE)
  rb <- roc(d$y, d$b, levels = 0:1, direction = "<", quiet = TRUE)
  line("auc", as.numeric(ra$auc), from = "pROC")
  variance <- var(ra, method = "delong")
  line("auc.var", variance, from = "pROC")
  if (!flat(variance)) {
    ci <- ci.auc(ra, method = "delong")
    line("auc.lo", ci[1], from = "pROC")
    line("auc.hi", ci[3], from = "pROC")
  }
  if (!is.na(var_d)) {
    test <- roc.test(ra, rb, method = "delong", paired = TRUE)
    line("pair.z", test$statistic, from = "pROC")
    line("pair.p", test$p.value, from = "pROC")
    line("pair.cov", cov(ra, rb, method = "delong"), from = "pROC")
  }
  line("pauc_10", auc(ra, partial.auc = c(1, .9), partial.auc.correct = TRUE,
                      allow.invalid.partial.auc.correct = TRUE), from = "pROC")
  other <- if (flat(v) && flat(b)) NA else sqrt(v + b)
  hanley <- function(a, m, n) (a * (1 - a) + (m - 1) * (a / (2 - a) - a^2) +
                                 (n - 1) * (2 * a^2 / (1 + a) - a^2)) / (m * n)
  m <- sum(d$y)
  n <- sum(1 - d$y)
  va <- hanley(p$auc, m, n)
  vb <- hanley(q$auc, m, n)
  r <- if (flat(v) || flat(b)) NA else covariance / sqrt(v * b)
  needed <- Z + qnorm(.8)
  list(planning.r = r, planning.planned = needed * sqrt(va + vb - 2 * r * sqrt(va * vb)),
       planning.observed = if (is.na(r)) NA else needed * sqrt(var_d), planning.hanley = va,
       unpaired.z = difference / other, unpaired.p = 2 * pnorm(-abs(difference) / other),
       unpaired.lo = difference - Z * other)
}

# ---- proportions --------------------------------------------------------------------------------

wilson <- function(p, n) {
  if (!is.finite(p) || n <= 0) return(c(NA, NA))
  (p + Z^2 / (2 * n) + c(-1, 1) * Z * sqrt(p * (1 - p) / n + Z^2 / (4 * n^2))) / (1 + Z^2 / n)
}
poisson_ci <- function(k) c(if (k > 0) qgamma(.025, k) else 0, qgamma(.975, k + 1))
# Rows without weights that would give the same precision: of a rate, of a count.
# A group of one class alone: what a row of the other class weighs in all of `d`.
unit_of <- function(d, y) {
  w <- d$w[d$y == y]
  if (!length(w)) w <- d$w
  sum(w^2) / sum(w)
}
effective <- function(y, w, d) {
  if (!length(w)) return(0)
  r <- sum(w * y) / sum(w)
  if (r > 0 && r < 1) return(r * (1 - r) * sum(w)^2 / sum(w^2 * (y - r)^2))
  sum(w) / unit_of(d, 1 - round(r))
}
effective_count <- function(w) if (length(w)) sum(w)^2 / sum(w^2) else 0
# Without a case the weight of one is what it is elsewhere.
oe_ci <- function(w_cases, expected, d) {
  k <- effective_count(w_cases)
  if (k == 0) return(poisson_ci(0) * unit_of(d, 1) / expected)
  poisson_ci(k) / k * sum(w_cases) / expected
}

# ---- calibration --------------------------------------------------------------------------------

sandwich_of <- function(x, fitted, d) {
  h <- t(x) %*% (x * (d$w * fitted * (1 - fitted)))
  score <- rowsum(x * (d$w * (d$y - fitted)), d$cluster)
  g <- nrow(score)
  s <- solve(h)
  sqrt(diag(s %*% (t(score) %*% score) %*% s) * g / (g - 1))
}
parted <- function(d) { # the risks part the classes, or all are one
  a <- d$a[d$y == 1]
  b <- d$a[d$y == 0]
  length(unique(d$a)) == 1 || min(a) >= max(b) || max(a) <= min(b)
}

groups_of <- function(d, how) {
  n <- length(d$a)
  if (how == "width")
    return(factor(findInterval(d$a, (0:10) / 10, rightmost.closed = TRUE), 1:10))
  g <- integer(n)
  at <- order(d$a, seq_len(n))
  k <- min(10, n)
  cut <- (n * (0:k)) %/% k
  for (i in seq_len(k)) g[at[(cut[i] + 1):cut[i + 1]]] <- i
  factor(g, seq_len(k))
}
sum_by <- function(v, g) {
  s <- as.vector(tapply(v, g, sum))
  s[is.na(s)] <- 0
  s
}

# glm's standard errors are of the step before the last: a second fit begins where the first ends.
converged <- function(formula, w) {
  environment(formula) <- list2env(list(w = w), parent = environment(formula))
  tight <- glm.control(epsilon = 1e-14, maxit = 200)
  first <- glm(formula, family = binomial(), weights = w, control = tight)
  glm(formula, family = binomial(), weights = w, control = tight, start = coef(first))
}

calibration_lines <- function(d, weighted) {
  p <- pmin(1 - 1e-7, pmax(1e-7, d$a))
  lp <- qlogis(p)
  slope <- rep(NA, 6)
  if (!parted(d)) {
    fit <- converged(d$y ~ lp, d$w)
    se <- sqrt(diag(summary(fit, dispersion = 1)$cov.unscaled))
    slope <- c(coef(fit), se, sandwich_of(cbind(1, lp), fitted(fit), d))
  }
  names(slope) <- c("a", "b", "se_a", "se_b", "robust_a", "robust_b")
  for (k in names(slope)) line(paste0("slope.", k), slope[k], from = "glm")
  line("slope.clipped", sum(p != d$a))
  fit <- converged(d$y ~ 1 + offset(lp), d$w)
  line("intercept.a", coef(fit), from = "glm")
  line("intercept.se_a", sqrt(summary(fit, dispersion = 1)$cov.unscaled), from = "glm")
  line("intercept.robust_a", sandwich_of(cbind(rep(1, length(lp))), fitted(fit), d), from = "glm")
  total <- sum(d$w)
  brier <- sum(d$w * (d$a - d$y)^2) / total
  rate <- sum(d$w * d$y) / total
  line("brier", brier)
  line("brier_scaled", 1 - brier / (rate * (1 - rate)))
  line("log_loss", -sum(d$w * (d$y * log(p) + (1 - d$y) * log(1 - p))) / total)
  expected <- sum(d$w * d$a)
  line("oe", sum(d$w * d$y) / expected)
  ci <- oe_ci(d$w[d$y == 1], expected, d)
  line("oe.lo", ci[1])
  line("oe.hi", ci[2])
  u <- rowsum(d$w * (d$y / sum(d$w * d$y) - d$a / expected), d$cluster)
  if (nrow(d) < 5000)
    line("ici", ici_of(d$a, d$y, d$w, grid_of(d$a)), from = "loess")
  line("oe.se", sqrt(nrow(u) / (nrow(u) - 1) * sum(u^2)))
  for (how in c("width", "mass")) {
    g <- groups_of(d, how)
    w <- sum_by(d$w, g)
    mean_p <- sum_by(d$w * d$a, g) / w
    gap <- function(y) {
      r <- abs(sum_by(d$w * y, g) / w - mean_p)
      c(sum((w * r)[w > 0]) / total, max(r[w > 0]))
    }
    share <- sum_by(d$w * d$y, g) / w
    for (i in seq_len(nlevels(g))) {
      own <- g == levels(g)[i]
      ci <- wilson(share[i], effective(d$y[own], d$w[own], d))
      line_at(paste0(how, ".n"), i - 1, sum(g == levels(g)[i]))
      line_at(paste0(how, ".mean"), i - 1, mean_p[i])
      line_at(paste0(how, ".rate"), i - 1, share[i])
      line_at(paste0(how, ".lo"), i - 1, ci[1])
      line_at(paste0(how, ".hi"), i - 1, ci[2])
    }
    error <- gap(d$y)
    line(paste0(how, ".ece"), error[1])
    line(paste0(how, ".mce"), error[2])
    if (weighted) { # weights may depend on the outcome: nothing to simulate
      line(paste0(how, ".ece_expected"), NA)
      next
    }
    set.seed(1)
    times <- if (nrow(d) > 10000) 40 else 200
    sims <- replicate(times, gap(rbinom(length(d$a), 1, d$a))[1])
    line(paste0(how, ".ece_expected"), mean(sims), from = "simulation",
         tolerance = 5 * sd(sims) * sqrt(1 / 200 + 1 / times))
  }
}

map_lines <- function(d, weighted) {
  lp <- qlogis(pmin(1 - 1e-7, pmax(1e-7, d$a)))
  at <- qlogis(.3)
  platt <- if (parted(d)) c(NA, NA) else coef(converged(d$y ~ lp, d$w))
  if (!is.na(platt[2]) && platt[2] <= 0) platt <- c(NA, NA)
  line("platt.a", platt[1], from = "glm")
  line("platt.b", platt[2], from = "glm")
  line("platt.of_03", plogis(platt[1] + platt[2] * at), from = "glm")
  right <- (lp > 0) == (d$y == 1)
  b <- if (all(right) || !any(right)) NA else coef(converged(d$y ~ 0 + lp, d$w))
  if (!is.na(b) && b <= 0) b <- NA
  line("temperature.b", b, from = "glm")
  line("temperature.of_03", plogis(b * at), from = "glm")
  if (weighted || anyDuplicated(d$a)) return(invisible()) # isoreg() knows neither
  fit <- isoreg(d$a, d$y)
  mapped <- approx(sort(d$a), fit$yf, (0:40) / 40, rule = 2)$y
  for (i in 0:40) line_at("isotonic", i, mapped[i + 1], from = "stats")
}

# ---- decision curve, deciles, paired rates ------------------------------------------------------

decision_lines <- function(d) {
  pt <- c(.002, .02, .1, .3, .5)
  groups <- length(unique(d$cluster))
  for (given in c(FALSE, TRUE)) {
    name <- if (given) "nb_at_2" else "nb"
    for (i in seq_along(pt)) {
      odds <- pt[i] / (1 - pt[i])
      f <- as.numeric(d$a >= pt[i])
      w1 <- sum(d$w * d$y)
      w0 <- sum(d$w * (1 - d$y))
      if (given) {
        pi <- .02
        sens <- sum(d$w * d$y * f) / w1
        fpr <- sum(d$w * (1 - d$y) * f) / w0
        nb <- sens * pi - fpr * (1 - pi) * odds
        u <- d$w * (pi * d$y * (f - sens) / w1 - (1 - pi) * odds * (1 - d$y) * (f - fpr) / w0)
      } else {
        pi <- w1 / (w1 + w0)
        v <- f * (d$y - (1 - d$y) * odds)
        nb <- sum(d$w * v) / (w1 + w0)
        u <- d$w * (v - nb) / (w1 + w0)
      }
      se <- sqrt(groups / (groups - 1) * sum(rowsum(u, d$cluster)^2))
      all <- pi - (1 - pi) * odds
      line_at(name, i - 1, nb)
      line_at(paste0(name, ".lo"), i - 1, if (se < 1e-15) NA else nb - Z * se)
      line_at(paste0(name, ".hi"), i - 1, if (se < 1e-15) NA else nb + Z * se)
      line_at(paste0(name, ".all"), i - 1, all)
      line_at(paste0(name, ".avoided"), i - 1, 100 * (nb - all) / odds, tolerance = 1e-9)
    }
  }
}

decile_lines <- function(d, weighted) {
  g <- groups_of(d, "mass")
  k <- nlevels(g)
  n <- sum_by(rep(1, length(g)), g)
  w <- sum_by(d$w, g)
  cases <- sum_by(d$y, g)
  observed <- sum_by(d$w * d$y, g)
  expected <- sum_by(d$w * d$a, g)
  line("decile.k", k)
  rate <- observed / w
  middle <- if (k %% 2) (k + 1) / 2 else c(k / 2, k / 2 + 1)
  middle_rate <- sum(observed[middle]) / sum(w[middle])
  for (i in seq_len(k)) {
    own <- g == levels(g)[i]
    ci <- oe_ci(d$w[own & d$y == 1], expected[i], d)
    line_at("decile.observed", i - 1, observed[i])
    line_at("decile.expected", i - 1, expected[i])
    line_at("decile.oe", i - 1, observed[i] / expected[i])
    line_at("decile.oe_lo", i - 1, ci[1])
    line_at("decile.oe_hi", i - 1, ci[2])
    line_at("decile.share", i - 1, observed[i] / sum(observed))
    line_at("decile.ratio", i - 1, rate[i] / rate[1])
    line_at("decile.middle", i - 1, rate[i] / middle_rate)
    if (weighted) next
    spread <- sqrt(1 / cases[i] - 1 / n[i] + 1 / cases[1] - 1 / n[1])
    if (i == 1) spread <- sqrt(2 / cases[1] - 2 / n[1])
    defined <- cases[i] > 0 && cases[1] > 0
    line_at("decile.ratio_lo", i - 1, if (defined) rate[i] / rate[1] * exp(-Z * spread) else NA)
    line_at("decile.ratio_hi", i - 1, if (defined) rate[i] / rate[1] * exp(Z * spread) else NA)
  }
  if (weighted) return(invisible())
  t <- prop.trend.test(cases, n)
  sign <- sign(sum(n * (seq_len(k) - weighted.mean(seq_len(k), n)) * cases / n))
  line("decile.trend_z", sign * sqrt(t$statistic), from = "stats")
  line("decile.trend_p", t$p.value, from = "stats")
}

# Newcombe 1998, paired proportions, method 10.
newcombe <- function(cells) {
  both <- as.numeric(cells[1])
  only_a <- as.numeric(cells[2])
  only_b <- as.numeric(cells[3])
  neither <- as.numeric(cells[4])
  n <- both + only_a + only_b + neither
  pa <- (both + only_a) / n
  pb <- (both + only_b) / n
  ca <- wilson(pa, n)
  cb <- wilson(pb, n)
  top <- both * neither - only_a * only_b
  if (top > 0) top <- max(top - n / 2, 0)
  margins <- (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
  phi <- if (margins == 0) 0 else top / sqrt(margins)
  below <- sqrt((pa - ca[1])^2 - 2 * phi * (pa - ca[1]) * (cb[2] - pb) + (cb[2] - pb)^2)
  above <- sqrt((ca[2] - pa)^2 - 2 * phi * (ca[2] - pa) * (pb - cb[1]) + (pb - cb[1])^2)
  pa - pb + c(-below, above)
}
mcnemar_p <- function(a, b) {
  if (a + b == 0) return(1)
  if (a + b < 25) binom.test(a, a + b)$p.value else
    mcnemar.test(matrix(c(0, b, a, 0), 2), correct = FALSE)$p.value
}

rate_lines <- function(d, plain) {
  for (k in 0:1) {
    at <- d$y == 1 - k
    a <- as.numeric((d$a >= .4) == (k == 0))[at]
    b <- as.numeric((d$b >= .35) == (k == 0))[at]
    w <- d$w[at]
    ra <- sum(w * a) / sum(w)
    rb <- sum(w * b) / sum(w)
    if (plain) {
      ci <- newcombe(c(sum(a & b), sum(a & !b), sum(!a & b), sum(!a & !b)))
      p <- mcnemar_p(sum(a & !b), sum(!a & b))
    } else {
      u <- rowsum(w * (a - b - (ra - rb)), d$cluster[at]) / sum(w)
      se <- sqrt(length(u) / (length(u) - 1) * sum(u^2))
      if (is.nan(se) || se < 1e-15) se <- NA
      ci <- ra - rb + c(-1, 1) * Z * se
      p <- 2 * pnorm(-abs(ra - rb) / se)
    }
    line_at("rates.a", k, ra)
    line_at("rates.b", k, rb)
    line_at("rates.diff", k, ra - rb)
    line_at("rates.lo", k, ci[1])
    line_at("rates.hi", k, ci[2])
    line_at("rates.p", k, p)
  }
}

# ---- time ---------------------------------------------------------------------------------------

steps <- function(fit) {
  list(at = function(t) c(1, fit$surv)[findInterval(t + 1e-9, fit$time) + 1],
       before = function(t) c(1, fit$surv)[findInterval(t - 1e-9, fit$time) + 1])
}
# Times are taken as they are: timefix would join those that differ in the last digits.
cancers_km <- function(d) steps(survfit(Surv(d$t, d$e) ~ 1, weights = d$w, timefix = FALSE))
# At equal times cancers leave before censorings: a censoring is a little later.
censoring_km <- function(d) {
  gap <- min(diff(sort(unique(d$t)))) / 1000
  late <- d$t + ifelse(d$e == 1, 0, gap)
  fit <- survfit(Surv(late, 1 - d$e) ~ 1, weights = d$w, timefix = FALSE)
  list(at = function(t) c(1, fit$surv)[findInterval(t + 1.5 * gap, fit$time) + 1],
       before = function(t) c(1, fit$surv)[findInterval(t - gap / 2, fit$time) + 1])
}

# Times as ranks: concordance() joins times that differ in the last digits, whatever timefix says.
concordance_of <- function(d, clustered, until = Inf, ...) {
  times <- sort(unique(d$t))
  d$t <- match(d$t, times)
  more <- list(...)
  if (is.finite(until)) more$ymax <- sum(times <= until)
  if (clustered) more$cluster <- d$patient
  do.call(concordance, c(list(Surv(t, e) ~ a, data = d, weights = d$w, reverse = TRUE), more))
}
concordance_lines <- function(name, d, clustered, ...) {
  c <- concordance_of(d, clustered, ...)
  v <- if (flat(c$var)) NA else c$var
  count <- as.vector(c$count)
  values <- c(c$concordance, c$var, count[1], count[2], count[3],
              clip01(c$concordance - Z * sqrt(v)), clip01(c$concordance + Z * sqrt(v)))
  names(values) <- c("", ".var", ".conc", ".disc", ".tied", ".lo", ".hi")
  for (i in seq_along(values)) line(paste0(name, names(values)[i]), values[i], from = "survival")
}

# As Mirai's program: weight 1 / S(t_j)^2, S of the cancers, right-continuous, at the later time.
mirai_c <- function(d) {
  s <- cancers_km(d)$at(d$t)
  if (min(s) <= 0) return(NA)
  ok <- outer(d$t, d$t, "<") | (outer(d$t, d$t, "==") & outer(d$e, 1 - d$e, "&"))
  ok <- ok & d$e == 1
  w <- outer(d$w, d$w / s^2) * ok
  sum(w * (outer(d$a, d$a, ">") + .5 * outer(d$a, d$a, "=="))) / sum(w)
}

year_rows <- function(d, h, rule, g) {
  case <- d$e == 1 & d$t <= h
  control <- if (rule == "mirai") d$t >= h & !case else d$t > h
  x <- d[case | control, ]
  x$y <- as.numeric(case[case | control])
  if (rule == "ipcw") x$w[x$y == 1] <- (x$w / g$before(x$t))[x$y == 1]
  x
}
year_auc <- function(d, h, rule, g) {
  x <- year_rows(d, h, rule, g)
  own_auc(x$a, x$y, x$w, x$cluster)
}

time_lines <- function(d, clustered, plain) {
  ask <- c(0, .5, 1, 2, 3.25, 4, 6)
  s <- cancers_km(d)
  g <- censoring_km(d)
  for (i in seq_along(ask)) {
    line_at("km", i - 1, s$at(ask[i]), from = "survival")
    line_at("km.before", i - 1, s$before(ask[i]), from = "survival")
    line_at("censoring", i - 1, g$at(ask[i]), from = "survival")
    line_at("censoring.before", i - 1, g$before(ask[i]), from = "survival")
  }
  concordance_lines("harrell", d, clustered)
  concordance_lines("uno", d, clustered, timewt = "n/G2")
  concordance_lines("uno4", d, clustered, timewt = "n/G2", until = 4)
  if (nrow(d) < 2000) line("mirai_c", mirai_c(d))
  for (h in 1:5) {
    m <- year_auc(d, h, "mirai", g)
    line_at("year.mirai", h, m[1])
    line_at("year.mirai.var", h, m[2])
    line_at("year.ipcw", h, year_auc(d, h, "ipcw", g)[1])
    case <- d$e == 1 & d$t <= h
    beyond <- d$t > h
    weight <- ifelse(case, 1 / g$before(d$t), ifelse(beyond, 1 / g$at(h), 0))
    brier <- sum((d$w * weight * ((case - d$a)^2))[case | beyond]) / sum(d$w)
    incidence <- 1 - s$at(h)
    known <- any(beyond)
    line_at("year.brier", h, if (known) brier else NA)
    line_at("year.incidence", h, if (known) incidence else NA, from = "survival")
    line_at("year.oe", h, if (known) incidence / weighted.mean(d$a, d$w) else NA)
    if (plain && has_rr && known && any(case) && length(unique(d$a)) > 1 && nrow(d) < 5000) {
      r <- try(riskRegression::Score(list(a = d$a), Surv(t, e) ~ 1, data = d[c("t", "e")],
                                     times = h, metrics = c("auc", "brier"), null.model = FALSE,
                                     conf.int = FALSE), silent = TRUE)
      if (!inherits(r, "try-error")) {
        line_at("year.ipcw", h, r$AUC$score$AUC, from = "riskRegression")
        line_at("year.brier", h, r$Brier$score$Brier, from = "riskRegression")
      }
    }
  }
}

early_lines <- function(d) {
  x <- d[!(d$e == 1 & d$t <= 1), ]
  line("early.harrell", concordance_of(x, FALSE)$concordance, from = "survival")
  g <- censoring_km(x)
  line("early.ipcw", year_auc(x, 3, "ipcw", g)[1])
  line("early.mirai", year_auc(x, 3, "mirai", g)[1])
}

# ---- BCa ----------------------------------------------------------------------------------------

# The package's adjusted shares. It returns values between replicates on the scale of qnorm(rank), so
# replicates that are these quantiles themselves give the share back.
boot_shares <- function(below, n, l) {
  scale <- qnorm(seq_len(n) / (n + 1))
  at <- (scale[below] + scale[below + 1]) / 2
  ci <- suppressWarnings(boot:::bca.ci(NULL, t0 = at, t = scale, L = l))
  pnorm(ci[4:5])
}

# Every replicate again from what was drawn; influences by leaving out one patient, or, of more than
# 200 in a stratum, one of 200 groups.
bca_lines <- function(d, draws, all) {
  if (is.null(draws)) return(invisible())
  id <- d$cluster + 1
  ever <- as.numeric(tapply(all$y, all$patient, max)) # exams without weight count for the stratum
  stats <- function(times) {
    w <- d$w * times[id]
    one <- d$y == 1
    auc <- if (sum(w[one]) == 0 || sum(w[!one]) == 0) NA else
      sum(w[one] * share_below(d$a[one], d$a[!one], w[!one])) / sum(w[one])
    c(auc, if (is.na(auc)) NA else sum((w * (d$a >= .4))[one]) / sum(w[one]))
  }
  t <- t(apply(draws[seq_len(200), ], 1, stats))
  point <- stats(rep(1, ncol(draws)))
  l <- NULL
  for (s in 0:1) {
    own <- which(ever == s)
    groups <- min(length(own), 200)
    deal <- (seq_along(own) - 1) %% groups
    for (g in seq_len(groups) - 1) {
      times <- rep(1, ncol(draws))
      times[own[deal == g]] <- 0
      l <- rbind(l, (groups - 1) * (point - stats(times)) / groups)
    }
  }
  l[is.na(l)] <- 0
  for (k in 1:2) {
    below <- sum(t[, k] < point[k]) + sum(t[, k] == point[k]) / 2
    n <- nrow(t)
    a <- if (any(l[, k] != 0)) sum(l[, k]^3) / (6 * sum(l[, k]^2)^1.5) else 0
    z <- qnorm(below / n) + qnorm(c(.025, .975))
    share <- pnorm(qnorm(below / n) + z / (1 - a * z))
    ci <- if (below %in% c(0, n)) c(NA, NA) else quantile(t[, k], share, type = 7)
    line_at("bca.lo", k - 1, ci[1])
    line_at("bca.hi", k - 1, ci[2])
    inside <- below > 0 && below < n && all(share > 1 / (n + 1) & share < n / (n + 1))
    if (!has_boot || !inside || below != round(below) || all(l[, k] == 0)) next
    ci <- quantile(t[, k], boot_shares(below, n, l[, k]), type = 7)
    line_at("bca.lo", k - 1, ci[1], from = "boot")
    line_at("bca.hi", k - 1, ci[2], from = "boot")
  }
}

ici_of <- function(a, y, w, grid) {
  if (length(unique(a)) == 1) return(abs(a[1] - weighted.mean(y, w))) # loess knows no such window
  fit <- suppressWarnings(try(predict(loess(y ~ a, weights = w, span = .75, degree = 1,
                                            control = loess.control(surface = "direct")),
                                      data.frame(a = grid)), silent = TRUE))
  if (inherits(fit, "try-error") || anyNA(fit)) return(NA)
  curve <- if (length(grid) > 1) approx(grid, clip01(fit), a, rule = 2)$y else clip01(fit)
  weighted.mean(abs(a - curve), w)
}
grid_of <- function(a) unique(as.numeric(quantile(a, (0:100) / 100, type = 7)))

# Measures of calibration again for the same draws, drawn rows written as often as they were drawn.
calibration_draws <- function(d, draws) {
  if (is.null(draws)) return(invisible())
  grid <- grid_of(d$a)
  for (mixed in c(FALSE, TRUE)) {
    one <- function(times) {
      x <- d[rep(seq_len(nrow(d)), times[d$cluster + 1]), ]
      if (mixed) {
        w1 <- sum(x$w[x$y == 1])
        w0 <- sum(x$w[x$y == 0])
        x$w <- x$w * ifelse(x$y == 1, .02 / w1, .98 / w0)
      }
      y <- x$y
      p <- pmin(1 - 1e-7, pmax(1e-7, x$a))
      lp <- qlogis(p)
      total <- sum(x$w)
      rate <- sum(x$w * y) / total
      brier <- sum(x$w * (x$a - y)^2) / total
      c(oe = sum(x$w * y) / sum(x$w * x$a),
        intercept = unname(coef(converged(y ~ 1 + offset(lp), x$w * nrow(x) / total))),
        slope = if (parted(x)) NA else unname(coef(converged(y ~ lp, x$w * nrow(x) / total))[2]),
        brier = brier, brier_scaled = 1 - brier / (rate * (1 - rate)),
        log_loss = -sum(x$w * (y * log(p) + (1 - y) * log(1 - p))) / total,
        ici = ici_of(x$a, y, x$w * nrow(x) / total, grid))
    }
    t <- apply(draws[seq_len(60), ], 1, one)
    for (k in rownames(t)) {
      v <- t[k, is.finite(t[k, ])]
      ci <- if (length(v) < 20) c(NA, NA) else quantile(v, c(.025, .975), type = 7)
      name <- paste0("drawn", if (mixed) "_at_2", ".", k)
      for (i in 1:2) line_at(name, i - 1, ci[i], from = "glm, loess")
    }
  }
}

# DATASET TAB PREFIX TAB counts of every draw, in the file DRAWS.
read_draws <- function() {
  path <- Sys.getenv("DRAWS")
  if (path == "" || !file.exists(path)) return(list())
  all <- strsplit(readLines(path), "\t")
  key <- vapply(all, function(x) paste(x[1], x[2]), "")
  lapply(split(vapply(all, function(x) x[3], ""), key), function(rows)
    do.call(rbind, lapply(strsplit(rows[seq_len(min(200, length(rows)))], " "), as.numeric)))
}

# ---- a data set ---------------------------------------------------------------------------------

capture_lines <- function(d) {
  q <- c(1, 5, 10, 20)
  s <- sort(d$a, decreasing = TRUE)
  for (i in seq_along(q)) {
    k <- (q[i] * length(s) + 99) %/% 100
    above <- sum(d$y[d$a > s[k]])
    at <- d$y[d$a == s[k]]
    room <- k - sum(d$a > s[k])
    line_at("capture.k", i - 1, k)
    line_at("capture.threshold", i - 1, s[k])
    line_at("capture.min", i - 1, (above + max(0, room - sum(1 - at))) / sum(d$y))
    line_at("capture.max", i - 1, (above + min(room, sum(at))) / sum(d$y))
  }
}

ensemble_lines <- function(d, planning) {
  n <- nrow(d)
  clip <- function(p) pmin(1 - 1e-7, pmax(1e-7, p))
  rules <- list(mean_prob = (d$a + d$b) / 2,
                mean_logit = plogis((qlogis(clip(d$a)) + qlogis(clip(d$b))) / 2),
                mean_rank = ((rank(d$a) + rank(d$b)) / 2 - .5) / n)
  rules <- lapply(rules, round, 12)
  for (k in names(rules))
    for (i in seq(1, n, by = 1 + n %/% 20)) line_at(k, i - 1, rules[[k]][i])
  line("change.mean", mean(abs(d$a - d$b)))
  line("change.spearman", cor(d$a, d$b, method = "spearman"), from = "stats")
  line("change.crossed", mean((d$a >= .4) != (d$b >= .4)))
  for (k in names(planning)) line(k, planning[[k]])
}

one_set <- function(file) {
  all <- read.csv(file)
  dataset <<- sub("[.]csv$", "", basename(file))
  weighted <- any(all$w != 1)
  repeated <- anyDuplicated(all$patient) > 0
  for (k in 0:3) {
    w <- k %% 2 == 1
    c <- k >= 2
    if ((w && !weighted) || (c && !repeated)) next
    prefix <<- c("", "w.", "c.", "wc.")[k + 1]
    d <- all
    if (!w) d$w <- 1
    d <- d[d$w > 0, ]
    d$cluster <- if (c) d$patient else seq_len(nrow(d))
    got <- auc_lines(d, k == 0)
    if (k == 0) planning <- got
    calibration_lines(d, w)
    decision_lines(d)
    rate_lines(d, k == 0)
    time_lines(d, c, k == 0)
    if (c) bca_lines(d, all_draws[[paste(dataset, prefix)]], all)
    if (c) calibration_draws(d, all_draws[[paste(dataset, prefix)]])
    if (c) next
    decile_lines(d, w)
    map_lines(d, w)
    early_lines(d)
    if (!w) capture_lines(d)
  }
  prefix <<- ""
  ensemble_lines(all, planning)
}

# ---- what needs no data set ---------------------------------------------------------------------

number_lines <- function() {
  source_name <<- "stats"
  counts <- list(c(0, 1), c(1, 1), c(0, 20), c(20, 20), c(1, 30), c(26, 41), c(58, 72),
                 c(5, 1e5), c(99999, 1e5))
  for (i in seq_along(counts)) {
    k <- counts[[i]][1]
    n <- counts[[i]][2]
    w <- prop.test(k, n, correct = FALSE)$conf.int
    b <- binom.test(k, n)$conf.int
    line_at("wilson.lo", i - 1, w[1])
    line_at("wilson.hi", i - 1, w[2])
    line_at("clopper.lo", i - 1, b[1])
    line_at("clopper.hi", i - 1, b[2])
  }
  k <- c(0, 1, 2.5, 7, 100, 1234.5, 1e5)
  for (i in seq_along(k)) {
    ci <- if (k[i] == round(k[i])) poisson.test(k[i])$conf.int else poisson_ci(k[i])
    line_at("poisson.lo", i - 1, ci[1])
    line_at("poisson.hi", i - 1, ci[2])
  }
  u <- c(1e-12, 1e-4, .025, .2, .5, .8, .975, .999999)
  for (i in seq_along(u)) line_at("normal", i - 1, qnorm(u[i]))
  df <- c(1, 2, 3, 12, 49, 400)
  for (i in seq_along(df)) {
    line_at("student", i - 1, qt(.975, df[i]))
    line_at("student.low", i - 1, qt(.3, df[i]))
    line_at("chi2", i - 1, pchisq(df[i] + 3, df[i], lower.tail = FALSE))
  }
  pairs <- list(c(0, 0), c(1, 0), c(3, 3), c(12, 5), c(0, 9), c(40, 17), c(500, 499), c(3000, 2000))
  for (i in seq_along(pairs)) {
    a <- pairs[[i]][1]
    b <- pairs[[i]][2]
    t <- mcnemar.test(matrix(c(0, b, a, 0), 2), correct = FALSE)
    line_at("mcnemar.chi2", i - 1, t$statistic)
    line_at("mcnemar.p_chi2", i - 1, if (a + b) t$p.value else NA)
    line_at("mcnemar.p_exact", i - 1, if (a + b) binom.test(a, a + b)$p.value else 1)
  }
  p <- c(.01, .04, NA, .03, .005, .5, .04, 1, 0, NA)
  adjusted <- p.adjust(p, "holm")
  for (i in seq_along(p)) line_at("holm", i - 1, adjusted[i])
  q <- quantile(c(-3, -1, 0, .5, .5, 2, 7, 11, 11.25, 40), (0:20) / 20, type = 7)
  for (i in 0:20) line_at("quantile", i, q[i + 1])
  for (i in 1:19) {
    odds <- (i / 20) / (1 - i / 20) * (.006 / .994) * (.7 / .3)
    line_at("shift", i, odds / (1 + odds), from = "definition")
  }
  ratio <- (7 / 90) / (3 / 110)
  spread <- sqrt(1 / 7 - 1 / 90 + 1 / 3 - 1 / 110)
  line("ratio", ratio, from = "definition")
  line("ratio.lo", ratio * exp(-Z * spread), from = "definition")
  line("ratio.hi", ratio * exp(Z * spread), from = "definition")
  t <- prop.trend.test(c(1, 4, 3, 9, 12), c(40, 41, 39, 40, 38))
  line("trend.chi2", t$statistic)
  line("trend.p", t$p.value)
  runs <- c(.71, .74, .69, .75, .72)
  line("spread.mean", mean(runs))
  line("spread.sd", sd(runs))
  keep <- c(.05, .25, .5, .75, 1)
  auc <- c(.52, .66, .71, .73, .74)
  line("area", sum(diff(keep) * (head(auc, -1) + tail(auc, -1)) / 2) / .95, from = "definition")
  line("knee", .75, from = "definition")
}

# ---- the data of pROC: golden answers G34 to G36 ------------------------------------------------

# Writes asah_K.csv and what pROC says of them. The interval .624 to .826 of G36 is that of the whole
# AUC: ci.auc() keeps the AUC that a roc object holds unless reuse.auc = FALSE is given.
asah <- function(dir) {
  data(aSAH, package = "pROC", envir = environment())
  y <- as.numeric(aSAH$outcome == "Poor")
  pair <- list(c("s100b", "wfns"), c("s100b", "ndka"), c("wfns", "ndka"), c("ndka", "s100b"))
  z <- c(-2.208983591441, 1.390770025736, 2.797775918689, -1.390770025736)
  p <- c(.027175782229, .164295175223, .005145579707, .164295175223)
  for (i in 1:4) {
    d <- data.frame(patient = seq_along(y) - 1, y = y, a = as.numeric(aSAH[[pair[[i]][1]]]),
                    b = as.numeric(aSAH[[pair[[i]][2]]]), w = 1, t = 1, e = 0)
    dataset <<- sprintf("asah_%d", i)
    write.csv(d, file.path(dir, paste0(dataset, ".csv")), row.names = FALSE, quote = FALSE)
    d$cluster <- d$patient
    auc_lines(d, TRUE)
    line("pair.z", z[i], from = "golden")
    line("pair.p", p[i], from = "golden")
  }
  source_name <<- "golden"
  line("auc", .611957994579946)
  line("auc.lo", .501244999271703)
  line("auc.hi", .722670989888189)
  dataset <<- "asah_1"
  line("auc", .731368563685637)
  line("auc.lo", .630118211761623)
  line("auc.hi", .832618915609651)
  line("pauc_10", .646091856)
  line("pauc_10", .5 * (1 + (.0327574526 - .005) / (.1 - .005)))
  line("boot.lo", .624, tolerance = .004)
  line("boot.hi", .826, tolerance = .004)
  r <- roc(y, aSAH$s100b, levels = 0:1, direction = "<", quiet = TRUE)
  set.seed(1)
  ci <- ci.auc(r, method = "bootstrap", boot.n = 10000, reuse.auc = FALSE, partial.auc = c(1, .9),
               partial.auc.correct = TRUE, progress = "none")
  line("boot.pauc_lo", ci[1], tolerance = .004, from = "pROC")
  line("boot.pauc_hi", ci[3], tolerance = .004, from = "pROC")
}

words <- commandArgs(TRUE)
all_draws <- read_draws()
if (words[1] == "numbers") number_lines()
if (words[1] == "sets") for (f in words[-1]) one_set(f)
if (words[1] == "asah") asah(words[2])
