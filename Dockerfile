# tickerd as a container: docker build -t tickerd .
# It runs as user 1000 on a root file system that may be read-only; /var/lib/tickerd is what to keep.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY tickerd tickerd
COPY plugins plugins
RUN python -m venv --without-pip /opt/tickerd \
    && python -m pip --python /opt/tickerd/bin/python install --no-cache-dir --no-compile . \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/tickerd/lib

FROM python:3.13-slim-bookworm
# tini is PID 1: it hands signals on, and buries processes whose parents have died.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 tickerd \
    && useradd --uid 1000 --gid 1000 --home-dir /var/lib/tickerd --no-create-home --shell /usr/sbin/nologin tickerd \
    && install -d -o tickerd -g tickerd -m 0750 /var/lib/tickerd /run/tickerd \
    && install -d -m 0755 /etc/tickerd
COPY --from=build /opt/tickerd /opt/tickerd
COPY --chmod=755 deploy/alive.py /opt/tickerd/bin/tickerd-alive
COPY deploy/tickerd.yaml /etc/tickerd/tickerd.yaml
ENV PATH=/opt/tickerd/bin:$PATH \
    PYTHONFAULTHANDLER=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TICKERD_SOCKET=/run/tickerd/tickerd.sock
USER 1000:1000
WORKDIR /var/lib/tickerd
# Both are user 1000's; engines that mount volumes of their own there keep that.
VOLUME ["/var/lib/tickerd", "/run/tickerd"]
# 7800: clients; 7801: control API. Both need keys.
EXPOSE 7800 7801
STOPSIGNAL SIGTERM
# Alive is healthy: a broker that is down, or a login that is missing, is not mended by a new container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["tickerd-alive"]
ENTRYPOINT ["tini", "--", "tickerd"]
CMD ["run", "-c", "/etc/tickerd/tickerd.yaml"]
