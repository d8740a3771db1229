#!/bin/sh
# Writes the agent's configuration from the environment and the files in /run/secrets, and becomes the agent.
# BROKER_DRIVER decides how it gets at its broker: see docs/deployment.md.
set -eu
config=/tmp/agent.yml
identity=$(cat /run/secrets/zookeeper_agents) # USER:PASSWORD
umask 077
printf '%s' "${identity#*:}" >/tmp/zookeeper-password

cat >"$config" <<EOF
group: $GROUP
name: $MEMBER
zookeeper:
  hosts: "$ZOOKEEPER"
  auth: {username: "${identity%%:*}", password_file: /tmp/zookeeper-password}
  readers: ["$(cat /run/secrets/zookeeper_readers)"]
http:
  listen: "0.0.0.0:8008"
  advertise: "http://$AGENT_HOST:8008"
broker:
  driver: $BROKER_DRIVER
  node: $BROKER_NODE
  amqp:
    host: $BROKER_HOST
    username: rabbitkeeper
    password_file: /run/secrets/agent_password
  advertise:
    amqp: "$BROKER_ADVERTISE"
EOF
case $BROKER_DRIVER in
  docker)
    cat >>"$config" <<EOF
  docker:
    container: $BROKER_CONTAINER
    url: unix:///run/docker/docker.sock
EOF
    ;;
  process)
    cat >>"$config" <<EOF
  process:
    directory: /var/lib/rabbitmq/node
    cookie_file: /run/secrets/erlang_cookie
    environment:
      RABBITMQ_ENABLED_PLUGINS_FILE: /var/lib/rabbitmq/enabled_plugins
    config: |
      vm_memory_high_watermark.absolute = 512MB
      disk_free_limit.absolute = 50MB
EOF
    ;;
esac
exec rabbitkeeper agent "$config"
