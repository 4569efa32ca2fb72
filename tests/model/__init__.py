"""Model checks: the real code, in every order that its threads could take their steps in."""
