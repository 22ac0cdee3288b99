"""specviz"""
