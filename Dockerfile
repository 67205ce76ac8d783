# The image that runs "hookstream serve": the binary, certificates, and the C
# library that the binary's loader wants. There is no shell in it.

FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w' -o /out/hookstream ./cmd/hookstream
# Built without cgo, but able to load the embedded engine, the binary is linked
# dynamically: what ldd names has to come along.
RUN mkdir -p /out/data /out/root && ldd /out/hookstream | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /out/root

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/root/ /
COPY --from=build /out/hookstream /hookstream
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV HOOKSTREAM_LISTEN=0.0.0.0:8080 HOOKSTREAM_DATA=/data HOOKSTREAM_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=6s --start-period=30s --retries=12 CMD ["/hookstream", "ready"]
ENTRYPOINT ["/hookstream"]
CMD ["serve"]
