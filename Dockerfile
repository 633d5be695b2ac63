# The image of a cluster's nodes, and of a KubeRay job.
#
#   docker build --target cpu -t REGISTRY/rushes:0.1.0-cpu .      head and decoding nodes
#   docker build --target gpu -t REGISTRY/rushes:0.1.0-gpu .      nodes with models
#
# Every RUN is a step of deploy/image.sh, and deploy/try_image.sh runs those of a target in a clean Debian root,
# without Docker. Versions of Python packages come from constraints.txt, and for the GPU target from
# deploy/constraints-gpu.txt before it. All nodes of a cluster must have the same Python and Ray, so both targets
# stand on one base. Pin that by its digest too, where your registry shows it:
# python:3.11.14-slim-bookworm@sha256:…

FROM python:3.11.14-slim-bookworm AS base
# Ray's cluster launcher reads HOME from here; without it it takes /root.
ENV HOME=/home/rushes \
    PATH=/opt/rushes/venv/bin:$PATH \
    RUSHES_CACHE=/opt/rushes/cache \
    RAY_USAGE_STATS_ENABLED=0 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/rushes
COPY deploy/image.sh deploy/image.sh
RUN sh deploy/image.sh system
RUN sh deploy/image.sh user

FROM base AS cpu
COPY pyproject.toml constraints.txt README.md ./
# For a head on Google Cloud: --build-arg EXTRAS=cluster,gcp
ARG EXTRAS=cluster
RUN sh deploy/image.sh packages $EXTRAS
COPY jobs jobs
COPY operators operators
COPY pipeline pipeline
COPY store store
RUN sh deploy/image.sh code
RUN sh deploy/image.sh networks
USER 1000:1000
WORKDIR /home/rushes

FROM base AS gpu
RUN sh deploy/image.sh compiler
COPY pyproject.toml constraints.txt README.md ./
COPY deploy/constraints-gpu.txt deploy/constraints-gpu.txt
ARG EXTRAS=cluster,gestures,vllm
RUN sh deploy/image.sh packages $EXTRAS
COPY jobs jobs
COPY operators operators
COPY pipeline pipeline
COPY store store
RUN sh deploy/image.sh code
RUN sh deploy/image.sh networks
USER 1000:1000
WORKDIR /home/rushes
