"""The configuration to start from: every key with its default, and what it is for."""

SAMPLE_CONFIG = """\
# One agent: it looks after the one broker beside it. All times are in seconds; relative paths are relative
# to this file. What is commented out shows the default.

group: orders          # the brokers that stand in for each other
name: node1            # this member; no two agents of a group may have the same

zookeeper:
  hosts: "zk1:2181,zk2:2181,zk3:2181"
  # session_timeout: 6.0     # a node that is gone is noticed within this; 3 to 120
  # connect_timeout: 10.0    # at the start: without ZooKeeper the agent does not begin
  # auth: null               # {username: agents, password_file: FILE}: who may write; null: everybody!
  # readers: ["world:anyone"]   # with auth: who else may read, as in ["digest:clients:HASH"]
  # tls: null                # {ca: FILE, certificate: FILE, key: FILE}: for ZooKeeper's secure client port

broker:
  driver: process            # how the agent gets at it: process, systemd, docker or external
  node: rabbit@host1         # Erlang node name
  amqp:
    host: 127.0.0.1          # where the agent itself connects
    port: 5672
    username: rabbitkeeper
    password_file: /etc/rabbitkeeper/password   # or password, or password_env
    # tls: null              # {ca: FILE, certificate: FILE, key: FILE, server_name: NAME}: with TLS
  advertise:
    amqp: "10.0.0.1:5672"    # what clients connect to; default: amqp's host and port
    # amqps: null
  # management:              # RabbitMQ's management API: warnings, whose alarm it is, and the load
  #   port: 15672            # on this host; driver process enables the plugin there. Or url: https://host:15671
  #   ca_file: null
  #   poll_interval: 12.0
  #   timeout: 5.0           # for one answer
  # vhost: rabbitkeeper      # the agents' own
  # rabbitmqctl: null        # path; default: the driver's
  # boot_timeout: 120.0      # a broker that does not answer by then is killed and started again
  # restart_limit: 10        # restarts in a row until it is tried once every 10 minutes only
  process:                   # only with driver process
    directory: /var/lib/rabbitkeeper/node1      # home, etc, data and log are below it
    cookie_file: /etc/rabbitkeeper/cookie       # the same on every node of the cluster
    # server: /usr/lib/rabbitmq/bin/rabbitmq-server
    # environment: {}
    # config: |              # lines for rabbitmq.conf
    #   disk_free_limit.absolute = 2GB
    # stop_with_agent: true  # SIGTERM to the agent stops the broker too
  # systemd:                 # only with driver systemd
  #   unit: rabbitmq-server.service
  #   systemctl: /usr/bin/systemctl
  #   sudo: false            # true: sudo --non-interactive for start, stop and kill
  #   timeout: 10.0          # of one systemctl
  #   stop_with_agent: false
  # docker:                  # only with driver docker
  #   container: rabbit1     # exists already
  #   url: null              # default: DOCKER_HOST, else the usual socket
  #   user: null             # as whom rabbitmqctl is run inside; default: the container's
  #   timeout: 10.0          # of one call to the engine
  #   stop_with_agent: false
  # external:                # only with driver external
  #   fence:                 # ends a broker that hangs
  #     command: [/usr/local/bin/fence, host1]
  #     timeout: 30.0
  #   restart:               # has it started again
  #     command: [/usr/local/bin/restart, host1]
  #     timeout: 30.0

# health:
#   interval: 0.5            # between canaries
#   hung_after: 2.0          # without an answer for so long: hung
#   connect_timeout: 1.0
#   fall: 1                  # failed reconnections, or canaries on a majority, until that counts
#   rise: 1                  # confirmed canaries until a broker counts as running again
#   start_grace: 30.0        # a broker that was never up is "starting" for so long
#   majority_interval: 5.0   # between canaries on a majority
#   majority_timeout: 5.0    # for a majority to confirm one
#   fast_nodedown: true      # have the broker drop nodes that are gone from ZooKeeper and do not answer

# hooks:                     # commands as lists of arguments; docs/operations.md says what they are told
#   leader_elected: null     # on the agent that has taken the lead; as in ["/usr/local/bin/tell", "--urgent"]
#   leader_lost: null        # on the agent that has it no more
#   member_down: null        # on the leader
#   member_up: null          # on the leader
#   webhook: null            # a URL that gets each of these events as JSON
#   timeout: 30.0            # for each; then it is killed

# http:                      # the agent's HTTP API: health for load balancers, metrics, operations
#   listen: null             # off; as in 10.0.0.1:8008
#   advertise: null          # the URL that others reach it by; default: made from listen
#   token_file: null         # or token, or token_env: what operations need; without one they are off
#   certificate: null        # PEM: HTTPS instead of HTTP
#   key: null                # PEM; default: in the certificate's file
#   client_ca: null          # PEM: only clients with a certificate of this authority
#   verify: always           # with client_ca: who needs one; writes: only who asks for operations

# tags:
#   priority: 100            # the higher leads, other things being equal
#   site: null
#   no_failover: false       # true: never leads

# election:
#   stagger: 0.3             # head start of each candidate for a vacant lead over the next
#   settle: 2.0              # after an outage of ZooKeeper the lead is left to who had it for so long

# preferred_site: null       # members of this site lead, if they can
# failback:
#   after: null              # a better member asks for the lead when it has run for so long; null: never

# replicas:
#   target: 3                # of quorum queues that do not say themselves how many they are to have

# watchdog:
#   timeout: 5.0             # an agent whose loop stands still for so long is ended

# log:
#   level: info              # debug, info, warning, error
#   format: text             # text, or json: an object a line
"""
