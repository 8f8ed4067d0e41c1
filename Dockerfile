# Postern itself. Your project comes on top of it: mounted at /project, or copied there (docs/deployment.md shows both).

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock ./
# Only here something is downloaded, and each file must have the hash that stands in the lock.
RUN pip download --require-hashes --requirement requirements.lock --dest wheels
RUN pip install --no-index --find-links wheels --upgrade setuptools
COPY pyproject.toml README.md LICENSE ./
COPY receiver receiver
COPY processors processors
COPY fixtures fixtures
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir wheels .
# Of all that the lock holds, only what Postern needs to run.
RUN python -m venv /opt/postern && /opt/postern/bin/pip install --no-index --find-links wheels postern

FROM python:3.13-slim
COPY --from=build /opt/postern /opt/postern
# The variables win over the file: whatever [server] says, a container is reached from outside, at the port below.
ENV PATH=/opt/postern/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    POSTERN_SERVER__HOST=0.0.0.0 \
    POSTERN_SERVER__PORT=8000
RUN groupadd --gid 1000 postern \
    && useradd --uid 1000 --gid 1000 --home-dir /project --no-create-home --shell /usr/sbin/nologin postern \
    && install --directory --owner=postern --group=postern /project
# As numbers, so that an orchestrator sees that it is not root.
USER 1000:1000
WORKDIR /project
EXPOSE 8000
# For the receiver. A worker has no port: switch this off where you run one.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["postern"]
CMD ["serve"]
