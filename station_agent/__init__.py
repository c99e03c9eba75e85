"""The program on each docking station (采集站): from a plugged recorder to signed, stored, published footage."""
