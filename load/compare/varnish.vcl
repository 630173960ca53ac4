vcl 4.1;
# Varnish as a careful operator would set it up for this work: an hour's freshness whatever the upstream says, a stale
# answer while a new one is fetched.
backend origin {
  .host = "127.0.0.1";
  .port = "@ORIGINPORT@";
  .connect_timeout = 1s;
  .first_byte_timeout = 10s;
}
sub vcl_backend_response {
  set beresp.ttl = 1h;
  set beresp.grace = 1h;
}
