"""Callback plugins for Ansible, for tests and measurements: `ANSIBLE_CALLBACK_PLUGINS` names this folder."""
