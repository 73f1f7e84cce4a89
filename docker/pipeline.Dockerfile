# The pipeline on CPU: a Ray head or worker node, and the command that runs a configuration.
# The digest is the tag's of September 2026 (docker-library/repo-info); Dependabot raises it.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg tini wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/hdvila
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY manifests manifests
COPY pipeline pipeline
COPY miniyoutube miniyoutube
COPY hdvila_testing hdvila_testing
COPY train train
# hadolint ignore=DL3013
RUN pip install --no-cache-dir -c constraints.txt '.[pipeline,s3,gs]' \
    && useradd --create-home --uid 1000 hdvila
USER 1000
ENV PYTHONSAFEPATH=1 RAY_USAGE_STATS_ENABLED=0
ENTRYPOINT ["tini", "--"]
CMD ["hdvila-pipeline", "--help"]
