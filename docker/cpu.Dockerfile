# mammovit on the CPU. Build from the top folder: docker build -f docker/cpu.Dockerfile -t mammovit .
FROM debian:12
RUN apt-get update && \
    apt-get install -y --no-install-recommends make git ca-certificates && \
    rm -rf /var/lib/apt/lists/*
COPY . /opt/mammovit
WORKDIR /opt/mammovit
RUN make deps && make
