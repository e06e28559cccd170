"""A site's way into a catalogue as a resource: a token that is good once; removed, the site is let in no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource

from components.catalogue import model_command
from components.dynamic import Provider, settle_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Properties = dict[str, Any]

_INPUTS = ("store", "site", "ring", "url", "authority", "invite_key")


class InvitationProvider(Provider):
    """Runs `scenario-model catalogue invite` and `revoke`."""

    def create(self, props: Properties) -> CreateResult:
        """Invite the site. Whatever an update that was killed left of it is revoked first."""
        settle_in()
        _revoke(props)

        def arguments(folder: Path) -> Sequence[str]:
            named = ["--ring", props["ring"], "--url", props["url"], "--store", props["store"]]
            return [
                "catalogue",
                "invite",
                props["site"],
                *named,
                "--authority",
                str(folder / "authority.pem"),
            ]

        told = model_command.run(arguments, {"authority.pem": props["authority"]})
        return CreateResult(props["site"], {**props, "token": told["token"]})

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """Any change is another invitation. The former one goes first: its removal revokes the site."""
        changed = [name for name in _INPUTS if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def delete(self, _id: str, props: Properties) -> None:
        """Revoke the site."""
        settle_in()
        _revoke(props)


class Invitation(Resource, module="catalogue", name="Invitation"):
    """A site that may join a catalogue with its `token` (secret), once, within a week."""

    token: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        store: pulumi.Input[str],
        site: str,
        ring: str,
        url: pulumi.Input[str],
        authority: pulumi.Input[str],
        invite_key: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the invitation of `site` to `ring` of the catalogue at `url`, whose CA is `authority`.

        `invite_key`: another value invites the site anew, for one that lost its key or came too late.
        """
        properties = {
            "store": store,
            "site": site,
            "ring": ring,
            "url": url,
            "authority": authority,
            "invite_key": invite_key,
            "token": None,
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["token"])
        super().__init__(InvitationProvider(), name, properties, pulumi.ResourceOptions.merge(opts, secret))


def _revoke(props: Properties) -> None:
    model_command.run(lambda _: ["catalogue", "revoke", props["site"], "--store", props["store"]], {})
