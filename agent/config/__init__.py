"""The agent's configuration."""

from rabbitkeeper.agent.config.agent import AgentConfig, TagsConfig, WatchdogConfig, load
from rabbitkeeper.agent.config.broker import (
    AdvertiseConfig,
    AmqpConfig,
    BrokerConfig,
    DockerConfig,
    ExternalConfig,
    HookConfig,
    ManagementConfig,
    ProcessConfig,
    SystemdConfig,
)
from rabbitkeeper.agent.config.election import ElectionConfig, FailbackConfig, ReplicasConfig
from rabbitkeeper.agent.config.health import HealthConfig
from rabbitkeeper.agent.config.hooks import HooksConfig
from rabbitkeeper.agent.config.http import HttpConfig
from rabbitkeeper.agent.config.zookeeper import ZooKeeperConfig

__all__ = [
    "AdvertiseConfig",
    "AgentConfig",
    "AmqpConfig",
    "BrokerConfig",
    "DockerConfig",
    "ElectionConfig",
    "ExternalConfig",
    "FailbackConfig",
    "HealthConfig",
    "HookConfig",
    "ManagementConfig",
    "HooksConfig",
    "HttpConfig",
    "ReplicasConfig",
    "ProcessConfig",
    "SystemdConfig",
    "TagsConfig",
    "WatchdogConfig",
    "ZooKeeperConfig",
    "load",
]
