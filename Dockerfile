# The book with CPU builds of PyTorch, about 3.1 GB. From the repository's root:
#
#   docker build --tag rifr .
#   mkdir -p out && docker run --rm --volume "$PWD/out:/home/reader/rifr/book/_build" rifr   # make book -> out/html/index.html
#   docker run --rm --publish 8888:8888 rifr jupyter lab --ip 0.0.0.0   # the chapters, to change and run
#
# Binder makes its environment from this file, too: it names the user, and wants JupyterLab and JupyterHub.
FROM python:3.11-slim

RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/*

ARG NB_USER=reader
ARG NB_UID=1000
RUN useradd --create-home --uid ${NB_UID} ${NB_USER}
ENV USER=${NB_USER} HOME=/home/${NB_USER} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR ${HOME}/rifr
COPY --chown=${NB_UID} . .
RUN chown ${NB_UID} . && mkdir --parents book/_build store && chown ${NB_UID} book/_build store
USER ${NB_USER}

# What PyPI has of PyTorch for Linux comes with 4 GB of CUDA; PyTorch's own index has builds without. With the mark that
# `make` leaves where it has made the environment, `make book` and `make pdf` take this one.
RUN python -m venv .venv \
 && .venv/bin/pip install --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.12.1 torchvision==0.27.1 \
 && .venv/bin/pip install --constraint constraints.txt --editable '.[book]' jupyterlab jupyterhub \
 && touch .venv/.rifr-installed
ENV PATH=${HOME}/rifr/.venv/bin:${PATH}

CMD ["make", "book"]
