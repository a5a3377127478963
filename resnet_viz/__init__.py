"""ResNet Viz: plain and residual networks, trained live and side by side, with every number real."""
