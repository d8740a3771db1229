#!/bin/sh
# Broker and agent in one container. The broker is the agent's child and outlives an agent that is killed, so
# that the next agent can adopt it: that is why this script, and not the agent, is the container's main process.
set -u
echo "[rabbitmq_management]." >/var/lib/rabbitmq/enabled_plugins
stopping=false
agent=
trap 'stopping=true; kill -TERM "$agent" 2>/dev/null' TERM INT

while :; do
  agent.sh &
  agent=$!
  $stopping && kill -TERM "$agent"
  wait "$agent"
  status=$?
  while kill -0 "$agent" 2>/dev/null; do  # wait returns when a signal is trapped, too
    wait "$agent"
    status=$?
  done
  $stopping && exit "$status"
  echo "node: the agent has ended with status $status; starting it again" >&2
  sleep 1
done
