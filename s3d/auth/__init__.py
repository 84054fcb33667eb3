"""Who asks: identities, and the signatures by which requests prove them."""

from s3d.auth.authenticate import Authenticator, Mode
from s3d.auth.identity import Identity
from s3d.auth.post_policy import PostPolicy, verify_post_policy

__all__ = ["Authenticator", "Identity", "Mode", "PostPolicy", "verify_post_policy"]
