# The binary in a small image, on the original service's port.
#
# It listens on all addresses, so it refuses to start until there is a service key (`docker run --rm -v
# data:/data IMAGE keys create --name gateway`), or tokens are configured (UPLINE_JWT_*), or a door without a
# lock is accepted (UPLINE_INSECURE=true).
FROM rust:1.95-slim AS build
WORKDIR /src
COPY . .
# The build has no .git: `--build-arg UPLINE_COMMIT=$(git rev-parse --short=12 HEAD)` puts the commit into
# `upline --version` and `/version`.
ARG UPLINE_COMMIT=
RUN cargo build --release --locked --bin upline
# Three quarters of the binary are the lines of backtraces: they go into a file of their own. `docker build --target debug --output . .` takes it out;
# debuggers and backtraces find it beside the binary.
RUN objcopy --only-keep-debug target/release/upline target/upline.debug \
  && objcopy --strip-debug --add-gnu-debuglink=target/upline.debug target/release/upline target/upline

FROM scratch AS debug
COPY --from=build /src/target/upline.debug /upline.debug

FROM debian:stable-slim
RUN useradd --system --uid 10001 --home-dir /data upline && install -d -o upline -g upline -m 0700 /data
COPY --from=build /src/target/upline /usr/local/bin/upline
# For an issuer of tokens at an https:// address.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY plans /usr/share/upline/plans
USER upline
VOLUME /data
ENV UPLINE_ADDR=0.0.0.0:11000 UPLINE_DATA_DIR=/data/live
EXPOSE 11000
STOPSIGNAL SIGTERM
ENTRYPOINT ["upline"]
CMD ["serve"]
