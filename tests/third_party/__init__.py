"""What someone else does with holdfast, in a folder of their own that knows nothing of this one."""
