"""Bottlenecks: what stands between the encoder's last numbers and the code. What one must and may have:
`diabolo.network.protocols`."""
