#!/bin/sh
# A RabbitMQ node on its own, looked after by an agent in another container: writes its configuration from
# BROKER_NODE and the files in /run/secrets, and becomes the server.
set -eu
etc=$HOME/etc
secrets=${SECRETS:-/run/secrets}
mkdir -p "$etc/conf.d"

umask 077
cp "$secrets/erlang_cookie" "$HOME/.erlang.cookie.new"
chmod 400 "$HOME/.erlang.cookie.new"
mv -f "$HOME/.erlang.cookie.new" "$HOME/.erlang.cookie"
{
  echo "default_user = rabbitkeeper"
  printf 'default_pass = %s\n' "$(cat "$secrets/agent_password")"
  cat <<'EOF'
loopback_users = none
listeners.tcp.default = 5672
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
EOF
} >"$etc/rabbitmq.conf"

# What is recommended (docs/operations.md), by version: a key that a version does not know stops its boot.
version=$(rabbitmqctl version)
set_conf() { echo "$1 = $2" >>"$etc/rabbitmq.conf"; }
case $version in
  3.* | 4.[012].*) set_conf cluster_partition_handling pause_minority ;;
  *) set_conf consumer_disconnected_timeout 1000 ;;
esac
case $version in
  3.*) echo "[{aten, [{poll_interval, 250}]}]." >"$etc/advanced.config" ;;
  *)
    set_conf default_queue_type quorum
    set_conf raft.adaptive_failure_detector.poll_interval 250
    rm -f "$etc/advanced.config"
    ;;
esac
echo "[rabbitmq_management]." >"$etc/enabled_plugins"
: >"$etc/rabbitmq-env.conf"

export RABBITMQ_NODENAME="$BROKER_NODE" \
  RABBITMQ_CONF_ENV_FILE="$etc/rabbitmq-env.conf" \
  RABBITMQ_CONFIG_FILE="$etc/rabbitmq.conf" \
  RABBITMQ_CONFIG_FILES="$etc/conf.d" \
  RABBITMQ_ADVANCED_CONFIG_FILE="$etc/advanced.config" \
  RABBITMQ_ENABLED_PLUGINS_FILE="$etc/enabled_plugins" \
  RUNNING_UNDER_SYSTEMD=true
exec rabbitmq-server
