# The command `runfold`, whatever it is told to be: projector, api, migrate, topics.
# Health is asked for where it is known what runs: see docker-compose.yml.

FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.txt ./
RUN pip install --no-cache-dir --constraint requirements.txt setuptools
COPY pyproject.toml README.md LICENSE ./
COPY contracts ./contracts
COPY projector ./projector
COPY api ./api
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel . \
    && python -m venv /opt/runfold \
    && /opt/runfold/bin/pip install --no-cache-dir --constraint requirements.txt /wheel/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin runfold
COPY --from=build /opt/runfold /opt/runfold
ENV PATH=/opt/runfold/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RUNFOLD_LOG_FORMAT=json
# By number, so that a cluster can see that it is not root.
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["runfold"]
CMD ["--help"]
