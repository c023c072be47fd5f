# mammovit for a card. Build from the top folder: docker build -f docker/cuda.Dockerfile -t mammovit-cuda .
# Debian 12, whose packages we use, with CUDA 13 and cuDNN from NVIDIA's Python wheels (docker/cuda.txt):
# NVIDIA has no image of Debian 12. The wheels are unpacked into one folder laid out like a toolkit; no
# Python stays in use. The first line that a card needs is the driver, which the host brings:
# docker run --gpus all mammovit-cuda ...
FROM debian:12
ENV PATH=/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV NVIDIA_VISIBLE_DEVICES=all
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update && \
    apt-get install -y --no-install-recommends make git ca-certificates python3-pip && \
    rm -rf /var/lib/apt/lists/*
COPY docker/cuda.txt /tmp/cuda.txt
RUN pip3 install --no-cache-dir --no-deps --target=/tmp/wheels -r /tmp/cuda.txt && \
    mkdir -p /usr/local/cuda && \
    for part in cu13 cudnn nccl; do cp -a /tmp/wheels/nvidia/$part/. /usr/local/cuda/ || exit 1; done && \
    ln -s lib /usr/local/cuda/lib64 && \
    rm -rf /tmp/wheels
COPY . /opt/mammovit
WORKDIR /opt/mammovit
RUN make deps && make CUDA=1
