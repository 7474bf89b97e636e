"""Free text as people and tools write it: incident ids in it or nearly, markers, the unusual."""

from tests.histories.world import World

# What may stand around an incident id and leaves it one.
AROUND = (
    *("{}", "see {}", "({})", "re:{} ", "{}-x", "，{}，", "é{}é", "事故{}事故"),
    *('"{}"', "{},{}", "\n{}\t"),
)
# What makes it no incident id.
SPOILED = ("x{}", "{}_y", "{}é_{}z", "_{}", "{}x", "0{}")
NEAR_MISSES = (
    *("INC-20260518-AB", "INC-2026051-ABCD", "INC-20260518-abcd", "inc-20260518-ABCD"),
    *("INC-２０２６０５１８-ABCD", "INC-20260518-ＡＢＣＤ", "ＩNC-20260518-ABCD"),
    *("INC-٢٠٢٦٠٥١٨-ABCD", "INC 20260518 ABCD", "INC-20260518-ABCde"),
)
MARKERS = (
    *("RUNBOOK REVIEW", "[AWOOOI CI/CD] build", "AI 治理警報", "HANDOFF REQUIRED"),
    *("AI 自動修復失敗", "AUTO RESOLVED", "AI 自動修復完成", "ESCALATION", "事故升級"),
    *("ACTION REQUIRED", "Action Required", "ACTION REQUIRED then RUNBOOK REVIEW"),
)
ODD = (
    "",
    " ",
    "ok",
    "manual",
    '"quoted" \\u0000 \\n {"a": [1]} \'; --',
    "🚨 𝄞 é e\u0301 \u200d \u2028 \ufeff",
    "tab\tnew\nline\r\u0001\x7f",
    "100% _ %s {0}",
    "x" * 600,
)


def text(world: World) -> str:
    """A text of at most 8,192 characters, empty at times."""
    roll = world.rng.random()
    if roll < 0.45:
        return mention(world)
    if roll < 0.55:
        return world.pick(NEAR_MISSES)
    if roll < 0.75:
        return f"{world.pick(MARKERS)} {mention(world) if world.chance(0.3) else ''}"
    if roll < 0.995:
        return world.pick(ODD)
    return "事" * 8192 if world.chance(0.5) else noise(world)


def mention(world: World) -> str:
    """One or two incident ids, some of them spoiled by what stands next to them."""
    shape = world.pick(AROUND if world.chance(0.75) else SPOILED)
    return shape.format(world.incident(), world.incident())


def noise(world: World) -> str:
    """8,192 characters that no compression makes short."""
    return f"{world.rng.getrandbits(4 * 8192):08192x}"
