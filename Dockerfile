# Epifill's service on a CPU: no torch, no compiler, no tests, not root; runs with a read-only root file system.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build

# The libraries first: they change less often than the source. Wheels only, each with the hash that is in the lock.
COPY requirements/service.lock requirements/
RUN python -m venv --without-pip /opt/epifill \
 && pip --python /opt/epifill/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
      -r requirements/service.lock \
 && find /opt/epifill/lib -depth -type d \( -name tests -o -path '*/onnx/backend/test' \) -exec rm -r {} +

COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY training training
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist .

# Readable for the service's user, whatever the checkout's umask was.
COPY models models
RUN chmod -R a+rX models


FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Epifill" \
      org.opencontainers.image.description="Imputes the missing marks of an epigenome: bigWig tracks in, predicted bigWig tracks out" \
      org.opencontainers.image.licenses="MIT"

RUN groupadd --gid 10001 epifill \
 && useradd --no-log-init --uid 10001 --gid epifill --no-create-home --home-dir /tmp --shell /usr/sbin/nologin epifill

# Where samples last: give it a volume.
RUN install -d -o 10001 -g 10001 /var/lib/epifill
VOLUME /var/lib/epifill

# Three layers, so that a new version of the source or of a model does not ship the libraries again.
COPY --from=build /opt/epifill /opt/epifill
RUN --mount=type=bind,from=build,source=/build/dist,target=/dist \
    PYTHONDONTWRITEBYTECODE=1 pip --python /opt/epifill/bin/python --disable-pip-version-check \
      install --no-cache-dir --no-deps --no-index /dist/*.whl
COPY --from=build /build/models /srv/epifill/models

# Two folders are written to: the volume, and /tmp for form uploads and results while a request is answered.
ENV PATH=/opt/epifill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    EPIFILL_HOST=0.0.0.0 \
    EPIFILL_PORT=8000 \
    EPIFILL_DATA=/var/lib/epifill \
    EPIFILL_MODELS=/srv/epifill/models
WORKDIR /srv/epifill
USER 10001:10001
EXPOSE 8000

# http.client, as urllib would ask a proxy that the environment names.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['EPIFILL_PORT']), timeout=8); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["epifill", "serve"]
