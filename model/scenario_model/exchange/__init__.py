"""What crosses between a site and the cloud, and nothing else: `contract`. Reports wait on the site (`spool`)."""
