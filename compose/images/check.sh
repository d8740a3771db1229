#!/bin/bash
# The containers' health checks, without any program that an image would not have anyway:
#   check.sh tcp PORT         something listens
#   check.sh http PORT PATH   the answer is 200
#   check.sh zookeeper        this server is part of an ensemble that serves; prints its mode
kind=$1 port=${2:-2181}
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
case $kind in
  tcp) exit 0 ;;
  http)
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$3" >&3
    IFS= read -r -t 3 line <&3 || exit 1
    [[ $line == HTTP/1.?\ 200* ]]
    ;;
  zookeeper)
    printf srvr >&3
    while IFS= read -r -t 3 line <&3; do
      case $line in Mode:*) echo "${line#Mode: }"; exit 0 ;; esac
    done
    exit 1
    ;;
  *) echo "check.sh: there is no check $kind" >&2; exit 2 ;;
esac
