#!/bin/sh
# A RabbitMQ node on its own, looked after by an agent in another container: writes its configuration from
# BROKER_NODE and the files in /run/secrets, and becomes the server.
set -eu
etc=/var/lib/rabbitmq/etc
mkdir -p "$etc/conf.d"

umask 077
cp /run/secrets/erlang_cookie "$HOME/.erlang.cookie.new"
chmod 400 "$HOME/.erlang.cookie.new"
mv -f "$HOME/.erlang.cookie.new" "$HOME/.erlang.cookie"
{
  echo "default_user = rabbitkeeper"
  printf 'default_pass = %s\n' "$(cat /run/secrets/agent_password)"
  cat <<'EOF'
loopback_users = none
listeners.tcp.default = 5672
cluster_partition_handling = pause_minority
default_queue_type = quorum
raft.adaptive_failure_detector.poll_interval = 250
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
EOF
} >"$etc/rabbitmq.conf"
echo "[rabbitmq_management]." >"$etc/enabled_plugins"
: >"$etc/rabbitmq-env.conf"

export RABBITMQ_NODENAME="$BROKER_NODE" \
  RABBITMQ_CONF_ENV_FILE="$etc/rabbitmq-env.conf" \
  RABBITMQ_CONFIG_FILE="$etc/rabbitmq.conf" \
  RABBITMQ_CONFIG_FILES="$etc/conf.d" \
  RABBITMQ_ENABLED_PLUGINS_FILE="$etc/enabled_plugins" \
  RUNNING_UNDER_SYSTEMD=true
exec rabbitmq-server
