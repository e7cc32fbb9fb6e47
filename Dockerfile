# A service on artifacts: docker build -t edgecls-serve . && docker run -p 127.0.0.1:8000:8000 -v ./model.artifacts:/artifacts:ro edgecls-serve
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/edgecls && /opt/edgecls/bin/pip install --no-cache-dir -c constraints.txt '.[serve]'

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin edgecls
COPY --from=build /opt/edgecls /opt/edgecls
ENV PATH=/opt/edgecls/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# 0.0.0.0 within the container: who reaches it is decided by what the container publishes.
ENTRYPOINT ["edgecls", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["/artifacts"]
