"""MLX, through mlx-lm's models and caches.

Nothing here imports MLX before `library.library()` is called; then all of it stays on the engine's one thread, since
arrays that are not computed yet do not cross threads.
"""
