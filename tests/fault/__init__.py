"""Everything around s3d going wrong: remotes, clients, disks, shutdown."""
