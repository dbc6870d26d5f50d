"""What finds illness: baseline, screen, clinical rules, episodes, verdicts. Pure."""
