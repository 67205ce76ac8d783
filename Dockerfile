# The image that runs "hookstream serve": a static binary and certificates.
# There is no shell in it. The tag nochdb leaves out the embedded ClickHouse
# engine, which only "hookstream dev" uses and which needs a C library.

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -tags nochdb -trimpath -buildvcs=false -ldflags='-s -w' -o /out/hookstream ./cmd/hookstream && mkdir -p /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/hookstream /hookstream
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV HOOKSTREAM_LISTEN=0.0.0.0:8080 HOOKSTREAM_DATA=/data HOOKSTREAM_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=6s --start-period=30s --retries=12 CMD ["/hookstream", "ready"]
ENTRYPOINT ["/hookstream"]
CMD ["serve"]
