#!/bin/sh
# One ZooKeeper server: number ZOOKEEPER_ID of ZOOKEEPER_PEERS, which is "1=HOST 2=HOST 3=HOST".
# Writes its configuration and becomes the server.
set -eu
config=/tmp/zoo.cfg
data=/var/lib/zookeeper

cat >"$config" <<EOF
dataDir=$data
tickTime=500
initLimit=20
syncLimit=10
minSessionTimeout=500
maxSessionTimeout=120000
clientPort=2181
maxClientCnxns=0
autopurge.purgeInterval=24
4lw.commands.whitelist=ruok,srvr
# The others are looked up again when they are gone: a container that comes back may have another address.
quorum.cnxTimeout=2000
EOF
for peer in $ZOOKEEPER_PEERS; do
  echo "server.${peer%%=*}=${peer#*=}:2888:3888" >>"$config"
done
echo "$ZOOKEEPER_ID" >"$data/myid"

exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
  -Djava.net.preferIPv4Stack=true -Dsun.net.inetaddr.ttl=1 \
  -Dzookeeper.admin.enableServer=false -Dzookeeper.preAllocSize=1024 \
  -cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar \
  org.apache.zookeeper.server.quorum.QuorumPeerMain "$config"
