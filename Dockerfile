# The image: one binary, the system's certificates, no shell, no root.
#   docker build --build-arg REVISION=$(git rev-parse HEAD) -t levee .
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# There is no clone in the context to ask.
ARG REVISION=unknown
ENV LEVEE_GIT_REVISION=$REVISION
# Build folders are kept between builds and are no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin levee \
    && install -D target/release/levee /out/levee

# glibc, libgcc, CA certificates and time zones; user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Levee" \
      org.opencontainers.image.description="The one place through which a company's services call everybody else's HTTP APIs" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /out/levee /usr/local/bin/levee
USER 65532:65532
# Data plane, control plane, health and metrics.
EXPOSE 8080 8081 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/levee", "healthcheck"]
# Longer than LEVEE_DRAIN_DELAY and LEVEE_DRAIN_TIMEOUT together must be left by whoever stops the container.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/levee"]
CMD ["serve"]
