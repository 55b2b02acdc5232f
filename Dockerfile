# A container that serves one of the models: docs/serving.md. It has what serving needs, and nothing else.
FROM python:3.11-slim

# LightGBM brings no OpenMP of its own.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home lockstep
WORKDIR /service
COPY requirements-serve.lock .
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-serve.lock
COPY params.yaml dvc.lock ./
COPY data/contracts data/contracts
COPY estimators estimators
COPY features features
COPY scorers scorers
COPY lockstep lockstep
COPY models models

# There is no git in here: --build-arg COMMIT="$(git rev-parse HEAD)" says which commit answers are to name.
ARG COMMIT=""
ENV LOCKSTEP_COMMIT=$COMMIT PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=3)"]
# Others than the container ask: it does not begin without LOCKSTEP_API_KEY.
ENTRYPOINT ["python", "-m", "lockstep", "serve", "--host", "0.0.0.0"]
