# mammovit for a card. Build from the top folder: docker build -f docker/cuda.Dockerfile -t mammovit-cuda .
# Written from NVIDIA's documents, not built yet: no machine of the project has had docker with a network.
# NVIDIA has no image of Debian 12, whose packages we use, and its images of CUDA 13.0 hold cuDNN 9.13, which
# reads beyond the keys of attention; so: Debian 12, NVIDIA's own packages for it, and a look at the version.
FROM debian:12
ARG CUDA=13-0
ADD https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/cuda-keyring_1.1-1_all.deb /tmp/
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates && \
    dpkg -i /tmp/cuda-keyring_1.1-1_all.deb && \
    apt-get update && \
    apt-get install -y --no-install-recommends make git cuda-nvcc-${CUDA} cuda-cudart-dev-${CUDA} \
        cuda-nvrtc-${CUDA} cuda-sanitizer-${CUDA} libcublas-dev-${CUDA} libcudnn9-dev-cuda-13 libnccl-dev && \
    rm -rf /var/lib/apt/lists/* /tmp/*.deb
ENV PATH=/usr/local/cuda/bin:$PATH NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY . /opt/mammovit
WORKDIR /opt/mammovit
RUN make deps
RUN printf '#include <cudnn_version.h>\n#if CUDNN_VERSION < 91501\n#error cuDNN 9.15.1 or newer is needed\n#endif\n' > /tmp/v.h && \
    gcc -E -I/usr/local/cuda/include /tmp/v.h > /dev/null && make CUDA=1
