#!/bin/sh
# The steps that make an image, each by its name. The Dockerfile's RUN lines call them, in /opt/rushes as root;
# deploy/try_image.sh calls them in a clean Debian root. They need Debian 12 or 13 with Python 3.11 to 3.13, and
# leave no caches behind.
#
#   image.sh system             what Ray's launcher and the decoders need of Debian
#   image.sh compiler           for Triton and torch.compile, which compile C and C++ when a model is loaded
#   image.sh user               the user that everything runs as
#   image.sh packages EXTRAS    Python packages of pyproject.toml, e.g. `packages cluster,vllm`
#   image.sh code               jobs, operators, pipeline and store
#   image.sh networks           the small networks of the preset lite
set -eu

venv=/opt/rushes/venv
pip="$venv/bin/python -m pip"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

install_debian() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes --no-install-recommends "$@"
    apt-get clean
    rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
}

system() {
    # The launcher copies files with rsync, and the head's autoscaler reaches workers with ssh. MediaPipe's library
    # is linked with EGL and GLES, whether it draws or not.
    install_debian ca-certificates libegl1 libgles2 openssh-client rsync
    # Ray's launcher works in login shells, which forget the image's PATH.
    echo "export PATH=$venv/bin:\$PATH" > /etc/profile.d/rushes.sh
}

compiler() {
    install_debian g++
}

user() {
    # 1000 is the first user of most cloud images too, so that files of the host can be read here.
    useradd --uid 1000 --create-home --shell /bin/bash rushes
    mkdir -p /opt/rushes/cache
    chown rushes:rushes /opt/rushes/cache
}

packages() {
    python3 -m venv "$venv"
    pins=constraints.txt
    case ",$1," in
        *,vllm,*)
            # vLLM for GPUs wants other versions of a few packages than its CPU build, which the tests use.
            pins=$(mktemp)
            awk -F= 'NR == FNR { own[$1]; print; next } !($1 in own)' deploy/constraints-gpu.txt constraints.txt > "$pins"
            ;;
    esac
    # pyproject.toml alone is here: what is installed is an empty project with its requirements.
    $pip install --constraint "$pins" ".[$1]"
    $pip uninstall --yes rushes
    # One OpenCV, without windows: the other builds own the same files and want X11 and OpenGL.
    $pip uninstall --yes opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless
    $pip install --no-deps --constraint constraints.txt opencv-contrib-python-headless
    [ "$pins" = constraints.txt ] || rm "$pins"
    rm -rf build ./*.egg-info
}

code() {
    $pip install --no-deps --constraint constraints.txt .
    rm -rf build ./*.egg-info
}

networks() {
    # From / the packages that were installed are imported, not the sources beside them.
    (cd / && "$venv/bin/python" -m operators.networks)
    chown -R rushes:rushes "$RUSHES_CACHE"
}

step=$1
shift
case $step in
    system | compiler | user | packages | code | networks) "$step" "$@" ;;
    *) echo "image.sh: no step is called $step" >&2; exit 2 ;;
esac
