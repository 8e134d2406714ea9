"""Who may do what on the NATS server: accounts and users, as a server configuration, keys and certificates."""

from drift_bus.authority.certificates import Certificates, issue_certificates
from drift_bus.authority.folder import FolderRefused, Written, write_folder
from drift_bus.authority.plan import Plan
from drift_bus.authority.roles import InvalidEngineName, accounts_of

__all__ = [
    "Certificates",
    "FolderRefused",
    "InvalidEngineName",
    "Plan",
    "Written",
    "accounts_of",
    "issue_certificates",
    "write_folder",
]
