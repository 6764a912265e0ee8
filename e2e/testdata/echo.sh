#!/bin/sh
# A CGI script: an answer without Content-Length, whose end is that of the connection.
printf 'Content-Type: application/octet-stream\n\n'
[ -z "$CONTENT_LENGTH" ] || head -c "$CONTENT_LENGTH"
