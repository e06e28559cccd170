"""Keys, signatures, and directories as a signature sees them. What is signed is for others to say."""
