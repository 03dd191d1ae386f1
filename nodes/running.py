"""How a loaded MODEL's attention and blocks are computed, and what its node says of that, after each run too."""

from ..bridge.status import show


class Account:
    """What a node says: its text, and below it what the parts of its models did in their last run."""

    def __init__(self, node_id: str | None):
        self._node_id = node_id
        self._text = ""
        self._used: dict[str, str] = {}

    def say(self, text: str) -> str:
        """Show the text, and return it in the user's language, in which it stays."""
        self._text = show(text, self._node_id)
        return self._text

    def tell(self, part: str, used: str) -> None:
        """Show under the text what a part did in the run that has ended, in place of what it did before."""
        self._used[part] = used
        show("\n".join([self._text, *self._used.values()]), self._node_id)


def set_up(patcher, attention: str, blocks: str, account: Account, name: str = "") -> str:
    """Give a clone its attention and its blocks. Returns which and why, in lines. name: what its node calls it, where it has several."""
    from ..attention.apply import attend
    from ..fusion.apply import compute_blocks

    def telling(part: str):
        begin = f"{name}: " if name else ""
        return lambda used: account.tell(f"{name} {part}", f"{begin}{used}")

    computed = compute_blocks(patcher, blocks, telling("blocks"), is_wanted=False)
    attended = attend(patcher, attention, telling("attention"))
    return f"{computed}\n{attended}"
